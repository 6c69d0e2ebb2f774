"""Where a recipe and its group files are, and what Hydra composes from them. Imports no torch.

A recipe is one of `recipes/`, or a file elsewhere. It chooses one file of each group, by name (searched beside the
recipe first, then in `recipes/`) or by path.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from vcore_verl.config.errors import RecipeError
from vcore_verl.config.schema import NONE

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "recipes"
GROUPS = ("init", "rl", "scale")
FULL = "full"  # the scale that leaves a recipe as it is


@dataclass(frozen=True)
class Composition:
    """`config` is a recipe with its `rl` file but without its `init` file, `scale` what its scale changes in it, and
    `files` the file of each group.
    """

    config: DictConfig
    scale: DictConfig
    files: dict[str, Path]


def names() -> list[str]:
    """Names of the recipes in `recipes/`."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml") if path.stem != "base")


def is_recipe(word: str) -> bool:
    """Whether `word` names a recipe: a name, with or without `-<scale>`, or a YAML file."""
    return word.endswith(".yaml") or word.partition("-")[0] in names()


def find(word: str) -> tuple[Path, str]:
    """The file of a recipe, and the scale in its name ("" if none)."""
    if word.endswith(".yaml"):
        return _existing(word), ""
    name, _, scale = word.partition("-")
    if name not in names():
        raise RecipeError(f"unknown recipe '{word}'; known recipes: {', '.join(names())}; or a file: ./{name}.yaml")
    return RECIPES / f"{name}.yaml", scale


def options(group: str, recipe: Path) -> dict[str, Path]:
    """The files of a group that `recipe` can choose from, by name."""
    places = (RECIPES / group, recipe.parent / group)
    return {path.stem: path for place in places for path in sorted(place.glob("*.yaml"))}


def composed(recipe: Path, chosen: Mapping[str, str]) -> Composition:
    """Compose `recipe` with the choices of `chosen` (group -> name or path) in place of its own."""
    choices = tuple(sorted(chosen.items()))
    return deepcopy(_composed(recipe, choices, _state_of_files(recipe, choices)))


@lru_cache(maxsize=128)  # a sweep composes the same files for each seed and value of a setting
def _composed(
    recipe: Path, choices: tuple[tuple[str, str], ...], state: tuple[tuple[Path, int, int], ...]
) -> Composition:
    content(recipe)  # so that invalid YAML is reported under the file's own name, not Hydra's
    picked = {group: _chosen(group, value, recipe) for group, value in choices}
    files = _own_choices(recipe, state) | picked
    if not {"init", "rl"} <= files.keys():
        raise RecipeError(f"{label(recipe)}: its defaults list must choose an init and an rl, as recipes/tiny.yaml")
    config = _without_init(recipe, files["rl"], "scale" in files, state)
    return Composition(config, content(files["scale"]) if "scale" in files else OmegaConf.create(), files)


@lru_cache(maxsize=128)
def _own_choices(recipe: Path, state: tuple[tuple[Path, int, int], ...]) -> dict[str, Path]:
    """The files that the recipe itself chooses."""
    _, names = _compose(recipe.parent, recipe, {})
    return {group: options(group, recipe)[name] for group, name in names.items()}


@lru_cache(maxsize=128)
def _without_init(recipe: Path, rl: Path, scaled: bool, state: tuple[tuple[Path, int, int], ...]) -> DictConfig:
    """The recipe with an RL file, and with the `init` and scale that set nothing."""
    with TemporaryDirectory() as folder:
        # Hydra searches this folder first: `rl` may be anywhere.
        place = Path(folder)
        (place / recipe.name).symlink_to(recipe)
        (place / "rl").mkdir()
        (place / "rl" / rl.name).symlink_to(rl)
        config, _ = _compose(place, recipe, {"init": NONE, "rl": rl.stem} | ({"scale": FULL} if scaled else {}))
    del config.init.name  # none
    return config


def _state_of_files(recipe: Path, choices: tuple[tuple[str, str], ...]) -> tuple[tuple[Path, int, int], ...]:
    """Time and size of every file that the composition may read."""
    folders = [recipe.parent, *(recipe.parent / group for group in GROUPS)]
    beside = (path for folder in folders for path in folder.glob("*.yaml"))
    named = (Path(value).expanduser().resolve() for _, value in choices if value.endswith(".yaml"))
    files = sorted({*RECIPES.rglob("*.yaml"), *beside, *named})
    return tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in files if path.is_file())


def content(path: Path) -> DictConfig:
    """The content of a YAML file itself, with its defaults list unresolved."""
    try:
        loaded = OmegaConf.load(path)
    except (YAMLError, OmegaConfBaseException) as error:
        raise RecipeError(f"{label(path)}: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, DictConfig):  # a list
        raise RecipeError(f"{label(path)}: a recipe file holds keys with values")
    return loaded


def label(path: Path) -> str:
    """A file's name in messages: relative to the repository or the working directory if possible."""
    for folder in (ROOT, Path.cwd()):
        if path.is_relative_to(folder):
            return str(path.relative_to(folder))
    return str(path)


def _existing(word: str) -> Path:
    path = Path(word).expanduser().resolve()
    if not path.is_file():
        raise RecipeError(f"{word} does not exist")
    return path


def _chosen(group: str, value: str, recipe: Path) -> Path:
    """The file of a choice, a name or a path."""
    if value.endswith(".yaml"):
        path = _existing(value)
    elif value in (known := options(group, recipe)):
        path = known[value]
    else:
        raise RecipeError(f"{group}={value} is not known; choose one of {', '.join(sorted(known))}")
    content(path)
    return path


def _compose(place: Path, recipe: Path, picked: Mapping[str, str]) -> tuple[DictConfig, dict[str, str]]:
    """The composed recipe, and the chosen name of each group."""
    beside = ",".join(f"'file://{folder}'" for folder in dict.fromkeys((recipe.parent, RECIPES)))
    overrides = [f"hydra.searchpath=[{beside}]", *(f"{group}={name}" for group, name in picked.items())]
    try:
        with initialize_config_dir(str(place), version_base="1.3"):
            found = compose(recipe.stem, overrides=overrides, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise RecipeError(f"{label(recipe)}: {str(error).strip().splitlines()[0]}") from error
    choices = {group: str(name) for group, name in found.hydra.runtime.choices.items() if group in GROUPS}
    values = cast(dict[str, Any], OmegaConf.to_container(found))
    return OmegaConf.create({key: value for key, value in values.items() if key != "hydra"}), choices
