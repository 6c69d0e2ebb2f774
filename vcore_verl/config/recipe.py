"""Recipes: composed by Hydra from `recipes/`, checked by OmegaConf against the dataclasses of `schema`.

A `Recipe` determines everything a run does. An invalid one raises a one-line `RecipeError` before anything starts.
Imports no torch.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from vcore_verl.config import algorithms, checks, objectives
from vcore_verl.config.composition import FULL, GROUPS, RECIPES, composed, content, find, label, options
from vcore_verl.config.errors import RecipeError, suggestion
from vcore_verl.config.init_schema import Init, init_section
from vcore_verl.config.overrides import leaves
from vcore_verl.config.rl_schema import Rl, rl_section
from vcore_verl.config.schema import NONE, Recipe

SHORT = {"gpus": "hardware.gpus", "nodes": "hardware.nodes"}  # short forms of the keys that depend on the machine
# Keys that cannot be set because a choice determines them -> the choice.
CHOSEN = {
    **dict.fromkeys(("init.name", "init.file", "init.by_model", "init_file"), "init="),
    **dict.fromkeys(("rl.name", "rl.algorithm", "rl.file", "rl_file"), "rl="),
    "file": "the recipe",
}
NAMES = ("variant", "rl.variant")  # strings even if they look like numbers: 1e-6
NOT_OFFERED = ("verl", "file", "algorithm", "init_file", "rl_file")  # as suggestions for an unknown key


def load(name: str, overrides: list[str]) -> Recipe:
    """Compose a recipe, `recipes/<name>.yaml` or the YAML file `name`, with `key=value` overrides.

    At another scale the recipe is called `<name>-<scale>`, with runs of its own; `name` may have this form.
    Raises `RecipeError` for an unknown recipe or key, a value that is missing, of the wrong type or out of range, a
    local file that does not exist, and a setting that would be ignored.
    """
    file, scale = find(name)
    parsed = _parse([f"scale={scale}", *overrides] if scale else overrides)
    chosen = {item.key_or_group: str(item.value()) for item in parsed if item.key_or_group in GROUPS}
    changes = [item for item in parsed if item.key_or_group not in GROUPS]
    layers = composed(file, chosen)
    init, rl = layers.files["init"], layers.files["rl"]
    model, sft = (_set(key, changes, layers.config) for key in ("model.path", "data.sft"))
    own = init_settings(init, model, sft)
    if file_of_algorithm := layers.config.rl.get("file"):
        layers.config.rl.file = str((rl.parent / file_of_algorithm).resolve())
    config = typed(own, layers.config.rl)
    _merge(config, OmegaConf.create({"init": own}), label(init))
    _merge(config, OmegaConf.create({"rl": _without_defaults(rl)}), label(rl))
    _merge(config, layers.config, label(file))
    if "probe" not in config.init:  # a scale is written for all objectives
        layers.scale.get("init", {}).pop("probe", None)
    _merge(config, layers.scale, label(layers.files.get("scale", file)))
    if OmegaConf.is_missing(config, "name"):
        scale = layers.files["scale"].stem if "scale" in layers.files else FULL
        config.name = file.stem if scale == FULL else f"{file.stem}-{scale}"
    config.file = None if file.parent == RECIPES else str(file)
    for group, path in (("init", init), ("rl", rl)):
        config[f"{group}_file"] = None if options(group, file).get(path.stem) == path else str(path)
    overridden = [key for item in changes for key in _override(config, item)]
    if config.reward_file:
        place = Path() if "reward_file" in overridden else file.parent
        config.reward_file = str((place / Path(config.reward_file).expanduser()).resolve())
    recipe = _to_recipe(config)
    checks.check(recipe)
    given = {key: label(file) for key in _keys(_without_defaults(file))}
    given |= {f"init.{key}": label(init) for key in _keys(own) if key not in ("name", "file")}
    given |= dict.fromkeys(overridden, "")
    checks.check_effect(recipe, given, {*overridden, *chosen, *_keys(layers.scale), "scale"})
    return recipe


def compared_inits(name: str) -> list[str]:
    """The SFT objectives that a comparison of the recipe `name` includes by default, `none` last."""
    found = []
    for init, path in options("init", find(name)[0]).items():
        own = init_settings(path)
        if own.name != NONE and objectives.find(own.name, own.file).compared:
            found.append(init)
    return [*sorted(found), NONE]


def init_of(values: DictConfig) -> Init:
    """The complete section `init` from some of its `values`. Raises `RecipeError` as `load` does."""
    config = typed(values, {})
    _merge(config, OmegaConf.create({"init": values}), "init")
    return cast(Init, OmegaConf.to_object(config.init))


def init_settings(path: Path, model: Any = None, sft: Any = None) -> DictConfig:
    """The settings in the `init` file `path` for a model and SFT data: a row of `by_model` merged over the rest.

    The row is that of the model's path, after which `:code` stands if the data are programs; else of the path; else
    `default`.

    The objective's own `file`, given relative to `path`, becomes absolute.
    """
    own = _without_defaults(path)
    if own.get("name") != path.stem:
        raise RecipeError(
            f"{label(path)}: name={own.get('name')} must be {path.stem}, like the file; "
            "name other settings of the same objective with variant=..."
        )
    own.file = own.get("file") and str((path.parent / own.file).resolve())
    rows = own.pop("by_model", None) or OmegaConf.create()
    if not isinstance(rows, DictConfig):
        raise RecipeError(f"{label(path)}: by_model must hold one section of settings for each model, and a default")
    for row in rows.values():
        _merge(typed(own, {}), OmegaConf.create({"init": row}), label(path))
    names = [*[f"{model}:code"] * (sft in checks.CODE), str(model), "default"]
    return cast(DictConfig, OmegaConf.merge(own, next((rows[name] for name in names if name in rows), {})))


def _without_defaults(path: Path) -> DictConfig:
    found = content(path)
    found.pop("defaults", None)
    return found


def _set(key: str, changes: list[Override], composed: DictConfig) -> Any:
    """The value of a key: of its last override, else of the recipe."""
    values = [item.value() for item in changes if item.key_or_group == key]
    return values[-1] if values else OmegaConf.select(composed, key)


def _keys(values: DictConfig) -> list[str]:
    """Dotted keys of all values that are not sections."""
    return list(flat_values(values))


def _override(config: DictConfig, item: Override) -> list[str]:
    """Merge one override into the typed `config`. Returns the keys that it sets: several if its value is a section."""
    key, source = str(item.key_or_group), f"'{item.input_line}'"
    if key in CHOSEN:
        raise RecipeError(f"{source}: {key} follows from {CHOSEN[key]}")
    if key.startswith("init.") and config.init.name == NONE:
        raise RecipeError(f"{key} would be ignored: init=none runs no SFT; leave it out")
    update = OmegaConf.create()
    value = str(item.input_line).partition("=")[2].strip("'\"") if key in NAMES else item.value()
    OmegaConf.update(update, key, value, force_add=True)
    _merge(config, update, source)
    return _keys(update)


def save(recipe: Recipe, path: Path) -> None:
    """Write the resolved recipe as YAML."""
    path.write_text(to_yaml(recipe))


def read(path: Path) -> Recipe:
    """Read a resolved recipe written by `save`."""
    found = content(path)
    config = typed(found.get("init", {}), found.get("rl", {}))
    _merge(config, found, str(path))
    return _to_recipe(config)


def to_yaml(recipe: Recipe) -> str:
    """The resolved recipe as YAML."""
    return OmegaConf.to_yaml(OmegaConf.structured(recipe))


def settings(recipe: Recipe) -> dict[str, Any]:
    """The recipe as one flat dictionary: dotted key -> value (lists and scalars)."""
    return flat_values(OmegaConf.structured(recipe))


def flat_values(config: DictConfig) -> dict[str, Any]:
    """Dotted key -> value, of every value that is not a section."""
    values = cast(dict[str, Any], OmegaConf.to_container(config))
    return {".".join(path): value for path, value in leaves(values) if value != {}}


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


def typed(init: Mapping[str, Any], rl: Mapping[str, Any]) -> DictConfig:
    """An empty recipe with typed keys: those of the objective and the algorithm that the sections `init` and `rl` name.

    Without a name, `init` has no settings of its own; without an algorithm, `rl` has those of a user's file of its
    name, or of GRPO.
    """
    config = OmegaConf.structured(Recipe)
    file = rl.get("file")
    algorithm = rl.get("algorithm") or (rl["name"] if file else algorithms.DEFAULT)
    config.rl = OmegaConf.structured(rl_section(algorithms.find(algorithm, file)))
    if (objective := init.get("name", NONE)) != NONE:
        config.init = OmegaConf.structured(init_section(objectives.find(objective, init.get("file"))))
    for part in (config.sft, config.rl):  # verl's own keys: checked against verl, not here
        OmegaConf.set_struct(part.verl, False)
    return config


def _merge(config: DictConfig, update: DictConfig, source: str) -> None:
    """Merge `update` into the typed `config`; `source` names the origin of the values in errors."""
    try:
        config.merge_with(update)
    except ConfigKeyError as error:
        raise RecipeError(f"{source}: {_unknown(config, str(error.full_key))}") from error
    except OmegaConfBaseException as error:
        key = error.full_key or ", ".join(str(name) for name in update)
        reason = str(error.msg).splitlines()[0].rstrip(".")
        raise RecipeError(f"{source}: {key} is of the wrong type: {reason}") from error


def _to_recipe(config: DictConfig) -> Recipe:
    try:
        return cast(Recipe, OmegaConf.to_object(config))
    except MissingMandatoryValue as error:
        raise RecipeError(f"{error.full_key} is not set; add {error.full_key}=<value>") from error
    except OmegaConfBaseException as error:  # an interpolation that does not resolve
        raise RecipeError(f"{error.full_key}: {str(error.msg).splitlines()[0]}") from error


def _unknown(config: DictConfig, key: str) -> str:
    """The message about the unknown `key`, with the known ones."""
    section, _, rest = key.partition(".")
    if section == "rl" and (having := [item.name for item in algorithms.builtin().values() if _has(item, rest)]):
        own = cast(type[Rl], OmegaConf.get_type(config.rl)).declaration
        return f"{key} is not a setting of {own.name if own else algorithms.DEFAULT}; it is one of {', '.join(having)}"
    if section != "init" or not rest:
        return f"unknown key '{key}'{_nearest(config, key)}"
    declaration = cast(type[Init], OmegaConf.get_type(config.init)).declaration
    has = [name for name in _keys(config.init) if name not in ("name", "file")]
    objective, known = declaration.name if declaration else NONE, f": {', '.join(has)}" if has else " none"
    return f"{key} is not a setting of {objective}, which has{known}{suggestion(rest, has, section)}"


def _has(algorithm: algorithms.Declaration, name: str) -> bool:
    return name in [item.name for item in algorithm.parameters]


def _nearest(config: DictConfig, key: str) -> str:
    """Suggestions for the unknown `key`: keys with the same or a similar last name, else those of its section."""
    section, _, last = key.rpartition(".")
    siblings = [name for name in OmegaConf.select(config, section) if name not in NOT_OFFERED]
    if hint := suggestion(last, siblings, section):
        return hint
    known = [name for name in _keys(config) if name.rpartition(".")[2] not in NOT_OFFERED]
    same_name = [other for other in known if other.rpartition(".")[2] == last]
    found = same_name or difflib.get_close_matches(key, known, n=1, cutoff=0.8)
    if found:
        return f"; did you mean {' or '.join(found)}?"
    return f"; keys of {section or 'a recipe'}: {', '.join(siblings)}"
