"""What the objectives declare, read from their source without running it: the launcher imports no torch.

A declaration consists of literals: `@register("name", needs=(...), ...)` on a function whose keyword-only parameters
are the settings, each `name: Annotated[type, Setting(...)] = default`.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vcore_verl.config.errors import RecipeError
from vcore_verl.setting import Setting

OBJECTIVES = Path(__file__).resolve().parents[1] / "objectives"
NEEDS = ("reference", "utility")
# What the section `init` has beside an objective's own settings.
RESERVED = ("name", "file", "probe", "by_model", "declaration", "needs", "probing", "settings")
TYPES: dict[str, Any] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "int | None": int | None,
    "float | None": float | None,
    "str | None": str | None,
}


@dataclass(frozen=True)
class Parameter:
    """One setting of an objective: `kind` is its type, `setting` what is known of it beside."""

    name: str
    kind: Any
    default: Any
    setting: Setting


@dataclass(frozen=True)
class Declaration:
    """An objective as its file declares it.

    `needs` names what it reads beside the token losses. Of each group in `exactly_one` one setting is to have a value.
    `colour` and `marker` are matplotlib's; `compared` objectives are the arms of a comparison that names none.
    """

    name: str
    file: Path
    parameters: tuple[Parameter, ...]
    needs: tuple[str, ...] = ()
    exactly_one: tuple[tuple[str, ...], ...] = ()
    colour: str | None = None
    marker: str | None = None
    compared: bool = False


@cache
def builtin() -> dict[str, Declaration]:
    """The objectives of `vcore_verl/objectives/`, by name."""
    found = [item for file in sorted(OBJECTIVES.glob("*.py")) for item in declarations(file)]
    return {item.name: item for item in found}


def find(name: str, file: str | None) -> Declaration:
    """The objective `name`, of the package or of a `file` elsewhere.

    Raises `RecipeError` where there is none, or the file takes a name of the package.
    """
    if file is None:
        if name not in builtin():
            known = ", ".join(builtin())
            raise RecipeError(f"unknown objective '{name}'; known: {known}; one of your own needs its file: FILE.py")
        return builtin()[name]
    found = {item.name: item for item in declarations(Path(file))}
    if taken := sorted(set(found) & set(builtin())):
        raise RecipeError(f"{file}: {taken[0]} is an objective of the package; give yours another name")
    if name not in found:
        raise RecipeError(f"{file} registers no objective '{name}'; it registers: {', '.join(found) or 'none'}")
    return found[name]


def declarations(file: Path) -> list[Declaration]:
    """The objectives that `file` registers. Raises `RecipeError` where it is missing or not as it must be."""
    try:
        tree = ast.parse(file.read_text())
    except OSError as error:
        raise RecipeError(f"{file}: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise RecipeError(f"{file}:{getattr(error, 'lineno', 1)}: no Python: {error.args[0]}") from error
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [_declaration(file, node, call) for node in functions for call in _registrations(node)]


def _registrations(function: ast.FunctionDef) -> Iterator[ast.Call]:
    """The `@register(...)` of a function, the lowest first, in the order in which Python calls them."""
    for call in reversed(function.decorator_list):
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == "register":
            yield call


def _declaration(file: Path, function: ast.FunctionDef, call: ast.Call) -> Declaration:
    parameters = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    given = _arguments(file, call, "name")
    declared = tuple(_parameter(file, argument, default) for argument, default in parameters)
    names = [item.name for item in declared]
    if unknown := sorted(set(given.get("needs", ())) - set(NEEDS)):
        raise _error(file, call, f"needs={unknown[0]!r} is not known; choose among {', '.join(NEEDS)}")
    if unknown := sorted({name for group in given.get("exactly_one", ()) for name in group} - set(names)):
        raise _error(file, call, f"exactly_one names {unknown[0]!r}, which is no keyword-only parameter")
    try:
        return Declaration(file=file, parameters=declared, **given)
    except TypeError as error:
        raise _error(file, call, f"register: {str(error).rpartition('() ')[2]}") from error


def _parameter(file: Path, argument: ast.arg, default: ast.expr | None) -> Parameter:
    if argument.arg in RESERVED:
        raise _error(file, argument, f"no setting can be called {argument.arg}")
    annotation = argument.annotation
    if not (
        isinstance(annotation, ast.Subscript)
        and ast.unparse(annotation.value).rpartition(".")[2] == "Annotated"
        and isinstance(annotation.slice, ast.Tuple)
        and len(annotation.slice.elts) == 2
        and isinstance(call := annotation.slice.elts[1], ast.Call)
    ):
        raise _error(file, argument, f"{argument.arg}: write {argument.arg}: Annotated[type, Setting(...)] = default")
    kind = ast.unparse(annotation.slice.elts[0])
    if kind not in TYPES:
        raise _error(
            file, argument, f"{argument.arg}: {kind} is no type of a setting; choose one of {', '.join(TYPES)}"
        )
    if default is None:
        raise _error(file, argument, f"{argument.arg} has no default")
    try:
        setting = Setting(**_arguments(file, call, "effect"))
    except TypeError as error:
        raise _error(file, argument, f"Setting: {str(error).rpartition('() ')[2]}") from error
    return Parameter(argument.arg, TYPES[kind], _literal(file, default), setting)


def _arguments(file: Path, call: ast.Call, first: str) -> dict[str, Any]:
    """The literal arguments of a call by name; the one that is given by position is a string called `first`."""
    values = [_literal(file, item) for item in call.args]
    if len(values) != 1 or not isinstance(values[0], str):
        raise _error(file, call, f"{ast.unparse(call.func)} takes one string by position, its {first}")
    return {first: values[0]} | {str(item.arg): _literal(file, item.value) for item in call.keywords}


def _literal(file: Path, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise _error(
            file, node, f"{ast.unparse(node)} must be a literal: it is read without running the file"
        ) from error


def _error(file: Path, node: ast.expr | ast.arg, message: str) -> RecipeError:
    return RecipeError(f"{file}:{node.lineno}: {message}")
