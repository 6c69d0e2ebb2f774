"""Checks `sft.verl` and `rl.verl` against the configuration files of the installed verl, without importing verl."""

import difflib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from vcore_verl.config.recipe import Recipe, RecipeError
from vcore_verl.config.versions import package_version

ADD = "+"  # as in Hydra: a key that verl reads but does not list


def check(recipe: Recipe) -> None:
    """Raise `RecipeError` for a key that the installed verl does not have."""
    for section, config, given in (
        ("sft.verl", "sft_trainer_engine", recipe.sft.verl),
        ("rl.verl", "ppo_trainer", recipe.rl.verl),
    ):
        if given:
            _check(given, _verl_defaults(config), section)


def _verl_defaults(config: str) -> Any:
    spec = find_spec("verl")
    assert spec is not None and spec.submodule_search_locations
    directory = Path(spec.submodule_search_locations[0]) / "trainer" / "config"
    with initialize_config_dir(str(directory), version_base=None):
        return OmegaConf.to_container(compose(config), resolve=False)


def _check(given: Mapping[str, Any], known: Mapping[str, Any], path: str) -> None:
    for key, value in given.items():
        if key.startswith(ADD):
            continue
        if key not in known:
            raise RecipeError(
                f"{path}.{key}: verl {package_version('verl')} has no such key{_nearest(key, known, path)}"
                f"; to add one that verl reads but does not list, write {path}.{ADD}{key} in a recipe file"
            )
        if isinstance(value, Mapping) and isinstance(known[key], Mapping):
            _check(value, known[key], f"{path}.{key}")


def _nearest(key: str, known: Mapping[str, Any], path: str) -> str:
    similar = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {path}.{similar[0]}?" if similar else ""
