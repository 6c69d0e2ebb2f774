"""What the objectives declare, parsed from their source without importing it: the launcher imports no torch.

A declaration is `@register("name", needs=(...), ...)` on a function whose keyword-only parameters are the settings,
each `name: Annotated[type, Setting(...)] = default`. The decorator, annotations and defaults are evaluated with nothing
but literals and the names in `KNOWN`.
"""

import ast
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, get_origin

from vcore_verl.config.errors import RecipeError
from vcore_verl.setting import Setting

OBJECTIVES = Path(__file__).resolve().parents[1] / "objectives"
NEEDS = ("reference", "utility", "kind", "entropy", "half_cosine", "batch", "behaviour", "clean_probe", "old")
# Names in the section `init` that are not settings of an objective.
RESERVED = ("name", "file", "probe", "placebo", "by_model", "declaration", "needs", "probing", "shuffled", "settings")
TYPES = {"bool": bool, "int": int, "float": float, "str": str}  # or one of int, float, str and None
KNOWN = {"__builtins__": TYPES, "Annotated": Annotated, "Setting": Setting}


@dataclass(frozen=True)
class Parameter:
    """One setting of an objective: `kind` is its type, `setting` its meaning and range."""

    name: str
    kind: Any
    default: Any
    setting: Setting


@dataclass(frozen=True)
class Declaration:
    """An objective as its file declares it.

    `needs` names what it reads besides the token losses. In each group of `exactly_one`, exactly one setting must be
    set. `colour` and `marker` are matplotlib's; `compared` objectives are the default arms of a comparison.
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
    """The objective `name` of the package, or of `file`.

    Raises `RecipeError` if there is none, or if the file reuses a name of the package.
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
    """The objectives that `file` registers. Raises `RecipeError` if it is missing or a declaration is invalid."""
    try:
        tree = ast.parse(file.read_text())
    except OSError as error:
        raise RecipeError(f"{file}: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise RecipeError(f"{file}:{getattr(error, 'lineno', 1)}: invalid Python: {error.args[0]}") from error
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [_declaration(file, node, call) for node in functions for call in _registrations(node)]


def _registrations(function: ast.FunctionDef) -> list[ast.Call]:
    """The `@register(...)` calls of a function, innermost first, as Python applies them."""
    calls = [call for call in reversed(function.decorator_list) if isinstance(call, ast.Call)]
    return [call for call in calls if ast.unparse(call.func).rpartition(".")[2] == "register"]


def _declaration(file: Path, function: ast.FunctionDef, call: ast.Call) -> Declaration:
    parameters = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    declared = tuple(_parameter(file, argument, default) for argument, default in parameters)
    found = _evaluated(file, call, register=partial(Declaration, file=file, parameters=declared))
    if unknown := sorted(set(found.needs) - set(NEEDS)):
        raise _error(file, call, f"needs={unknown[0]!r} is not known; choose among {', '.join(NEEDS)}")
    if "old" in found.needs and "refresh" not in {item.name for item in declared}:
        raise _error(file, call, "needs='old' takes a setting refresh: the steps from one old policy to the next")
    if unknown := sorted({name for group in found.exactly_one for name in group} - {item.name for item in declared}):
        raise _error(file, call, f"exactly_one names {unknown[0]!r}, which is not a keyword-only parameter")
    return found


def _parameter(file: Path, argument: ast.arg, default: ast.expr | None) -> Parameter:
    if argument.arg in RESERVED:
        raise _error(file, argument, f"no setting can be called {argument.arg}")
    hint: Any = argument.annotation and _evaluated(file, argument.annotation)
    if get_origin(hint) is not Annotated or not isinstance(hint.__metadata__[0], Setting):
        raise _error(file, argument, f"{argument.arg}: write {argument.arg}: Annotated[type, Setting(...)] = default")
    if default is None:
        raise _error(file, argument, f"{argument.arg} has no default")
    return Parameter(argument.arg, hint.__origin__, _evaluated(file, default), hint.__metadata__[0])


def _evaluated(file: Path, node: ast.expr, **names: Any) -> Any:
    """Evaluate a part of a declaration; any error in it is raised as a `RecipeError`."""
    try:
        return eval(compile(ast.Expression(node), str(file), "eval"), KNOWN | names)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise _error(
            file, node, f"{reason}; a declaration holds literals, Setting and the types {', '.join(TYPES)}"
        ) from error


def _error(file: Path, node: ast.expr | ast.arg, message: str) -> RecipeError:
    return RecipeError(f"{file}:{node.lineno}: {message}")
