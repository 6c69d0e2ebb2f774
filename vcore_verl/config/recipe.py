"""Recipes: composed by Hydra from `recipes/`, checked by OmegaConf against the dataclasses of `schema`.

Everything a run does follows from one `Recipe`. A mistake in one is a `RecipeError` of one line, raised before anything
starts. Imports no torch.
"""

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast, get_type_hints

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from vcore_verl.config.errors import InputError
from vcore_verl.config.schema import (
    Base,
    Data,
    Evaluation,
    Hardware,
    Init,
    Lora,
    Model,
    Probe,
    Recipe,
    Rl,
    Sft,
    VcorePaper,
)

__all__ = [
    "BUILTIN",
    "RECIPES",
    "ROOT",
    "Base",
    "Data",
    "Evaluation",
    "Hardware",
    "Init",
    "Lora",
    "Model",
    "Probe",
    "Recipe",
    "RecipeError",
    "Rl",
    "Sft",
    "VcorePaper",
    "load",
    "names",
    "read",
    "save",
    "settings",
    "to_yaml",
]

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "recipes"
GROUPS = ("init", "rl", "scale")  # folders below recipes/ that a recipe chooses one file from
SHORT = {"gpus": "hardware.gpus", "nodes": "hardware.nodes"}  # words for the keys that every machine changes
FULL = "full"  # the scale that leaves a recipe as it is
BUILTIN = "builtin:"  # models and data sets made locally from fixed seeds


class RecipeError(InputError):
    """A recipe that cannot run; the message is one line that says what is wrong and what to do."""


def names() -> list[str]:
    """Names of the recipes that can be run."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml") if path.stem != "base")


def load(name: str, overrides: list[str]) -> Recipe:
    """Compose `recipes/<name>.yaml` with `key=value` overrides.

    At another scale the recipe is called `<name>-<scale>`, which keeps its runs apart; `name` may be so written too.
    Raises `RecipeError` for an unknown recipe, an unknown key, a value of the wrong type, a value that is not set, a
    local file that is missing, and a setting that would be ignored.
    """
    file, _, scale = name.partition("-")
    if file not in names():
        raise RecipeError(f"unknown recipe '{name}'; known recipes: {', '.join(names())}")
    parsed = _parse([f"scale={scale}", *overrides] if scale else overrides)
    chosen = [item for item in parsed if item.key_or_group in GROUPS]
    for item in chosen:
        options = sorted(path.stem for path in (RECIPES / item.key_or_group).glob("*.yaml"))
        if item.value() not in options:
            raise RecipeError(f"{item.key_or_group}={item.value()} is not known; choose one of {', '.join(options)}")
    with initialize_config_dir(str(RECIPES), version_base="1.3"):
        composed = compose(file, overrides=[str(item.input_line) for item in chosen])
    config = _schema()
    _merge(config, composed, f"recipes/{file}.yaml")
    if OmegaConf.is_missing(config, "name"):
        scale = next((str(item.value()) for item in reversed(chosen) if item.key_or_group == "scale"), FULL)
        config.name = file if scale == FULL else f"{file}-{scale}"
    for item in parsed:
        if item.key_or_group not in GROUPS:
            update = OmegaConf.create()
            # A variant is a name, also where it looks like a number: 1e-6.
            value = (
                str(item.input_line).partition("=")[2].strip("'\"") if item.key_or_group == "variant" else item.value()
            )
            OmegaConf.update(update, item.key_or_group, value, force_add=True)
            _merge(config, update, f"'{item.input_line}'")
    recipe = _to_recipe(config)
    _check(recipe, [item.key_or_group for item in parsed])
    return recipe


def save(recipe: Recipe, path: Path) -> None:
    """Write the resolved recipe as YAML."""
    path.write_text(to_yaml(recipe))


def read(path: Path) -> Recipe:
    """Read a resolved recipe written by `save`."""
    config = _schema()
    _merge(config, cast(DictConfig, OmegaConf.load(path)), str(path))
    return _to_recipe(config)


def to_yaml(recipe: Recipe) -> str:
    """The resolved recipe as YAML."""
    return OmegaConf.to_yaml(OmegaConf.structured(recipe))


def settings(recipe: Recipe) -> dict[str, Any]:
    """The recipe as one flat dictionary: dotted key -> value (lists and scalars)."""
    return dict(_flatten(cast(dict[str, Any], OmegaConf.to_container(OmegaConf.structured(recipe))), ""))


def _flatten(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _parse(overrides: list[str]) -> list[Override]:
    parsed = []
    for text in overrides:
        key, equals, value = text.partition("=")
        try:
            (item,) = OverridesParser.create().parse_overrides([f"{SHORT.get(key, key)}{equals}{value}"])
        except OverrideParseException as error:
            raise RecipeError(f"cannot read '{text}'; write key=value, for example init=dft or sft.steps=50") from error
        plain = item.type is OverrideType.CHANGE and item.package is None and not item.is_sweep_override()
        if not plain or not item.key_or_group:
            raise RecipeError(f"cannot use '{text}'; write key=value with one value, for example sft.steps=50")
        parsed.append(item)
    return parsed


def _schema() -> DictConfig:
    config = OmegaConf.structured(Recipe)
    for part in (config.sft, config.rl):  # verl's own keys: checked against verl, not here
        OmegaConf.set_struct(part.verl, False)
    return config


def _merge(config: DictConfig, update: DictConfig, source: str) -> None:
    """Merge `update` into the typed `config`; `source` says where the values come from in an error."""
    try:
        config.merge_with(update)
    except ConfigKeyError as error:
        raise RecipeError(f"{source}: unknown key '{error.full_key}'{_nearest(str(error.full_key))}") from error
    except OmegaConfBaseException as error:
        key = error.full_key or ", ".join(str(name) for name in update)
        reason = str(error.msg).splitlines()[0].rstrip(".")
        raise RecipeError(f"{source}: {key} is of the wrong type: {reason}") from error


def _to_recipe(config: DictConfig) -> Recipe:
    try:
        return cast(Recipe, OmegaConf.to_object(config))
    except MissingMandatoryValue as error:
        raise RecipeError(f"{error.full_key} is not set; add {error.full_key}=<value>") from error
    except OmegaConfBaseException as error:  # an interpolation that leads nowhere
        raise RecipeError(f"{error.full_key}: {str(error.msg).splitlines()[0]}") from error


def _known_keys(kind: type = Recipe, prefix: str = "") -> Iterator[str]:
    hints = get_type_hints(kind)
    for item in fields(kind):
        yield prefix + item.name
        if is_dataclass(hints[item.name]):
            yield from _known_keys(cast(type, hints[item.name]), f"{prefix}{item.name}.")


def _nearest(key: str) -> str:
    """A hint at the known keys that the unknown `key` may stand for: same or similar last name, else its section's."""
    known = [other for other in _known_keys() if not other.endswith(".verl")]
    section, _, last = key.rpartition(".")
    same_name = [other for other in known if other.rpartition(".")[2] == last]
    siblings = [other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == section]
    similar = [f"{section}.{name}".lstrip(".") for name in difflib.get_close_matches(last, siblings, n=1)]
    found = similar or same_name or difflib.get_close_matches(key, known, n=1, cutoff=0.8)
    if found:
        return f"; did you mean {' or '.join(found)}?"
    return f"; keys of {section or 'a recipe'}: {', '.join(siblings)}"


def _check(recipe: Recipe, overridden: list[str]) -> None:
    """What types cannot say."""
    choices = {
        "model.family": (recipe.model.family, ("qwen3", "llama", "mistral")),
        "model.dtype": (recipe.model.dtype, ("bfloat16", "float32")),
        "hardware.device": (recipe.hardware.device, ("auto", "cuda", "cpu")),
        "data.overlong": (recipe.data.overlong, ("drop", "truncate")),
        "sft.schedule": (recipe.sft.schedule, ("cosine", "constant")),
        "rl.schedule": (recipe.rl.schedule, ("cosine", "constant")),
    }
    for key, (value, allowed) in choices.items():
        if value not in allowed:
            raise RecipeError(f"{key}={value} is not known; choose one of {', '.join(allowed)}")
    positive = {
        "hardware.gpus": recipe.hardware.gpus,
        "hardware.nodes": recipe.hardware.nodes,
        "hardware.tensor_parallel": recipe.hardware.tensor_parallel,
        "hardware.stall_minutes": recipe.hardware.stall_minutes,
        "data.num_sft": recipe.data.num_sft,
        "data.num_rl": recipe.data.num_rl,
        "sft.steps": recipe.sft.steps,
        "sft.batch_size": recipe.sft.batch_size,
        "sft.save_every": recipe.sft.save_every,
        "rl.steps": recipe.rl.steps,
        "rl.prompts_per_step": recipe.rl.prompts_per_step,
        "rl.samples_per_prompt": recipe.rl.samples_per_prompt,
        "rl.mini_batch_prompts": recipe.rl.mini_batch_prompts,
        "rl.save_every": recipe.rl.save_every,
        "evaluation.num_samples": recipe.evaluation.num_samples,
    }
    for key, number in positive.items():
        if number <= 0:
            raise RecipeError(f"{key}={number} must be positive")
    if recipe.init.name == "none" and recipe.rl.name == "none":
        raise RecipeError("init=none and rl=none together leave nothing to train")
    if not re.fullmatch(r"[A-Za-z0-9._+@%=-]*", recipe.variant):
        raise RecipeError(f"variant={recipe.variant} is to be part of a folder's name: letters, digits and ._+@%=-")
    epsilon = recipe.init.probe.epsilon
    if epsilon != "auto" and (isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or epsilon <= 0):
        raise RecipeError(f"init.probe.epsilon={epsilon} must be a positive number or auto")
    ignored = {
        "vcore_paper": (recipe.init.name != "vcore_paper", f"init={recipe.init.name} has settings of its own"),
        "base": (not recipe.model.path.startswith(BUILTIN), f"model.path={recipe.model.path} is not built in"),
        "init": (recipe.init.name == "none", "init=none runs no SFT"),
        "sft": (recipe.init.name == "none", "init=none runs no SFT"),
        "rl": (recipe.rl.name == "none", "rl=none runs no RL"),
    }
    for key in overridden:
        unused, reason = ignored.get(key.partition(".")[0], (False, ""))
        if "." in key and unused:
            raise RecipeError(f"{key} would be ignored: {reason}; leave it out")
    solve_rate = recipe.data.solve_rate
    if solve_rate is not None and (len(solve_rate) != 2 or not 0 <= solve_rate[0] <= solve_rate[1] <= 1):
        raise RecipeError(f"data.solve_rate={solve_rate} must be [low, high] within [0, 1]")
    for key, path in {"model.path": recipe.model.path, "data.sft": recipe.data.sft, "data.rl": recipe.data.rl}.items():
        if _is_local(path) and not Path(path).expanduser().exists():
            raise RecipeError(f"{key}={path} does not exist; give a path that does, or a hub id")


def _is_local(path: str) -> bool:
    """Whether `path` can only mean a place on this machine: hub ids look like `owner/name`."""
    return path.startswith((os.sep, "./", "../", "~")) or path.endswith((".parquet", ".jsonl"))
