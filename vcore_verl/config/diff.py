"""A resolved recipe as what it changes. Imports no torch."""

from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from vcore_verl.config.recipe import RECIPES, Recipe, settings


def difference(recipe: Recipe) -> str:
    """YAML of what differs from `base.yaml` with the recipe's own initialiser and RL algorithm as they stand."""
    reference = _reference(recipe)
    mine = settings(recipe)
    changed = {key: value for key, value in mine.items() if key not in reference or reference[key] != value}
    nested = OmegaConf.create()
    for key, value in changed.items():
        if value != {}:
            OmegaConf.update(nested, key, value)
    return OmegaConf.to_yaml(nested)


def _reference(recipe: Recipe) -> dict[str, Any]:
    """Flat settings of base.yaml, init/<name>.yaml and rl/<name>.yaml, with the schema's defaults under them."""
    config = OmegaConf.structured(Recipe)
    for part in (config.sft, config.rl):
        OmegaConf.set_struct(part.verl, False)
    with initialize_config_dir(str(RECIPES), version_base="1.3"):
        groups = [f"+init={recipe.init.name}", f"+rl={recipe.rl.name}"]
        config.merge_with(compose("base", overrides=groups))
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
