"""Checks of `sft.verl` and `rl.verl` against the installed verl's configuration files, without importing verl, and
against the recipe's own keys, so that nothing is set twice.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from vcore_verl.config.errors import suggestion
from vcore_verl.config.overrides import ADD, flat
from vcore_verl.config.recipe import Recipe, RecipeError, settings
from vcore_verl.config.schema import described
from vcore_verl.config.versions import package_version

# Keys that are part of paths and names.
PLACES = ("name", "seed", "variant", "output_dir", "init.name", "rl.name", "rl.variant")


def check(recipe: Recipe) -> None:
    """Raise `RecipeError` for a key that the installed verl does not have."""
    for section, config, given in (
        ("sft.verl", "sft_trainer_engine", recipe.sft.verl),
        ("rl.verl", "ppo_trainer", recipe.rl.verl),
    ):
        if given:
            _check(given, _verl_defaults(config), section)


def check_set_once(recipe: Recipe, section: str, build: Callable[[Recipe], dict[str, Any]], free: str = "") -> None:
    """Raise `RecipeError` for a key below `<section>.verl` that a key of the recipe itself already sets.

    `build` makes verl's settings from a recipe. Those that depend only on keys that begin with `free` may be set.
    """
    given = getattr(recipe, section).verl
    if not given:
        return
    plain = replace(recipe, **{section: replace(getattr(recipe, section), verl={})})
    causes = set_by(plain, build)
    for key in flat(given):
        by = next((causes[known] for known in causes if f"{key}.".startswith(f"{known}.")), [])
        if by and not (free and all(name.startswith(free) for name in by)):
            raise RecipeError(
                f"{section}.verl.{key} is set by {', '.join(by)}; set {'that' if len(by) == 1 else 'those'}"
            )


def set_by(recipe: Recipe, build: Callable[[Recipe], dict[str, Any]]) -> dict[str, list[str]]:
    """verl's key -> the recipe's keys that its value depends on, found by changing each of them in turn."""
    before = flat(build(recipe))
    found: dict[str, list[str]] = {}
    # The device is left out: the settings that come with it are defaults, which may be overridden.
    own = {key: value for key, value in settings(recipe).items() if ".verl" not in key and key != "hardware.device"}
    for key, value in own.items():
        for other in _others(recipe, key, value):
            after = flat(build(_with(recipe, key.split("."), other)))
            for name in before.keys() & after.keys():
                # Names and paths contain the run's name and seed, but may be overridden.
                named = key in PLACES and isinstance(after[name], str)
                if before[name] != after[name] and not named and key not in found.get(name, []):
                    found.setdefault(name, []).append(key)
    return found


def _others(recipe: Recipe, key: str, value: Any) -> Iterator[Any]:
    """Other values of the key, chosen to change every setting that depends on it."""
    choices = next((known.choices for name, known, _ in described(recipe) if name == key), ())
    yield from (choice for choice in choices if choice != value)
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield 2 * value + 1
        if isinstance(value, float):
            yield 0.0
    elif isinstance(value, list):
        yield [*value, "x"]
    elif not choices:
        yield f"{value}x"


def _with(section: Any, path: list[str], value: Any) -> Any:
    """A copy of a dataclass with another value at a dotted key."""
    name, *rest = path
    return replace(section, **{name: _with(getattr(section, name), rest, value) if rest else value})


@cache
def _verl_defaults(config: str) -> Any:
    """verl's own settings, read once a process, which takes a second; callers must not change them."""
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
                f"{path}.{key}: verl {package_version('verl')} has no such key{suggestion(key, known, path)}"
                f"; to add one that verl reads but does not list, write {path}.{ADD}{key} in a recipe file"
            )
        if isinstance(value, Mapping) and isinstance(known[key], Mapping):
            _check(value, known[key], f"{path}.{key}")
