"""How a resolved recipe differs from its base. Imports no torch."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import MISSING, DictConfig, OmegaConf

from vcore_verl.config.algorithms import DEFAULT
from vcore_verl.config.composition import RECIPES, options
from vcore_verl.config.recipe import Recipe, flat_values, init_settings, settings, typed


def difference(recipe: Recipe) -> str:
    """YAML of what differs from `base.yaml` and the files of the recipe's own SFT objective and RL algorithm."""
    reference = flat_values(_reference(recipe))
    changed = OmegaConf.create()
    for key, value in settings(recipe).items():
        if reference.get(key, MISSING) != value:
            OmegaConf.update(changed, key, value)
    return OmegaConf.to_yaml(changed)


def _reference(recipe: Recipe) -> DictConfig:
    """base.yaml and the files of `init` and `rl`, over the schema's defaults.

    An `rl` given by path is compared with the default's file.
    """
    beside = Path(recipe.file or RECIPES / recipe.name)
    config = typed(vars(recipe.init), vars(recipe.rl))
    with initialize_config_dir(str(RECIPES), version_base="1.3"):
        rl = DEFAULT if recipe.rl_file else recipe.rl.name
        place = f"hydra.searchpath=['file://{beside.parent}']"
        config.merge_with(compose("base", overrides=[place, f"+rl={rl}"]))
    init = Path(recipe.init_file) if recipe.init_file else options("init", beside)[recipe.init.name]
    config.merge_with({"init": init_settings(init, recipe.model.path, recipe.data.sft)})
    return config
