"""A resolved recipe as what it changes. Imports no torch."""

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from vcore_verl.config.composition import RECIPES, options
from vcore_verl.config.recipe import Recipe, init_settings, settings, typed


def difference(recipe: Recipe) -> str:
    """YAML of what differs from `base.yaml` and the files of the recipe's own SFT objective and RL algorithm."""
    reference = _reference(recipe)
    mine = settings(recipe)
    changed = {key: value for key, value in mine.items() if key not in reference or reference[key] != value}
    nested = OmegaConf.create()
    for key, value in changed.items():
        if value != {}:
            OmegaConf.update(nested, key, value)
    return OmegaConf.to_yaml(nested)


def _reference(recipe: Recipe) -> dict[str, Any]:
    """Flat settings of base.yaml and the files of `init` and `rl`, with the schema's defaults under them.

    An `init` that was given by its path is compared with its objective's defaults alone, such an `rl` with grpo's file.
    """
    beside = Path(recipe.file or RECIPES / recipe.name)
    config = typed(recipe.init.name, recipe.init.file)
    rl = recipe.rl.name if recipe.rl.name in options("rl", beside) else "grpo"
    with initialize_config_dir(str(RECIPES), version_base="1.3"):
        place = f"hydra.searchpath=['file://{beside.parent}']"
        config.merge_with(compose("base", overrides=[place, f"+rl={rl}"]))
    if path := options("init", beside).get(recipe.init.name):
        config.merge_with({"init": init_settings(path, recipe.model.path)})
    return _flat(config, "")


def _flat(config: DictConfig, prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in map(str, config):
        if OmegaConf.is_missing(config, key):
            continue
        value = config[key]
        name = f"{prefix}{key}"
        if isinstance(value, DictConfig):
            found |= _flat(value, f"{name}.")
        else:
            found[name] = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return found
