"""What the objectives declare: `@register("name", needs=(...), ...)` on a function whose keyword-only parameters are
its settings. Read as `declarations` says, without importing the file.
"""

import ast
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vcore_verl.config.declarations import Library, Parameter, error_at, evaluated, parameter, parsed, registrations

OBJECTIVES = Path(__file__).resolve().parents[1] / "objectives"
NEEDS = ("reference", "utility", "kind", "entropy", "half_cosine", "batch", "behaviour", "clean_probe", "old")
# Names in the section `init` that are not settings of an objective.
RESERVED = ("name", "file", "probe", "placebo", "by_model", "declaration", "needs", "probing", "shuffled", "settings")


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


def declarations(file: Path) -> list[Declaration]:
    """The objectives that `file` registers. Raises `RecipeError` if it is missing or a declaration is invalid."""
    functions = [node for node in parsed(file).body if isinstance(node, ast.FunctionDef)]
    return [_declaration(file, node, call) for node in functions for call in registrations(node)]


def _declaration(file: Path, function: ast.FunctionDef, call: ast.Call) -> Declaration:
    parameters = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    declared = tuple(
        parameter(file, argument, argument.arg, argument.annotation, default, RESERVED)
        for argument, default in parameters
    )
    found = evaluated(file, call, register=partial(Declaration, file=file, parameters=declared))
    if unknown := sorted(set(found.needs) - set(NEEDS)):
        raise error_at(file, call, f"needs={unknown[0]!r} is not known; choose among {', '.join(NEEDS)}")
    if "old" in found.needs and "refresh" not in {item.name for item in declared}:
        raise error_at(file, call, "needs='old' takes a setting refresh: the steps from one old policy to the next")
    if unknown := sorted({name for group in found.exactly_one for name in group} - {item.name for item in declared}):
        raise error_at(file, call, f"exactly_one names {unknown[0]!r}, which is not a keyword-only parameter")
    return found


_library = Library("objective", OBJECTIVES, declarations)
builtin, find = _library.builtin, _library.find
