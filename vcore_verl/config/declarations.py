"""What a file registers, parsed from its source without importing it: the launcher imports no torch.

A declaration is `@register("name", ...)` on a function or class, whose settings are written `name: Annotated[type,
Setting(...)] = default`. The decorator, annotations and defaults are evaluated with nothing but literals and the names
in `KNOWN`.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, TypeVar, get_origin

from vcore_verl.config.errors import RecipeError
from vcore_verl.setting import Setting

TYPES = {"bool": bool, "int": int, "float": float, "str": str}  # or one of int, float, str and None
KNOWN = {"__builtins__": TYPES, "Annotated": Annotated, "Setting": Setting}


@dataclass(frozen=True)
class Parameter:
    """One setting: `kind` is its type, `setting` its meaning and range."""

    name: str
    kind: Any
    default: Any
    setting: Setting


class Declared(Protocol):
    """What every declaration has."""

    @property
    def name(self) -> str: ...


Found = TypeVar("Found", bound=Declared)


class Library(Generic[Found]):
    """The declarations of a folder of the package, and of files outside it.

    `kind` names what is declared ("objective"); `read` returns the declarations of one file.
    """

    def __init__(self, kind: str, folder: Path, read: Callable[[Path], list[Found]]) -> None:
        self.kind = kind
        self.folder = folder
        self.read = read
        self._builtin: dict[str, Found] | None = None

    def builtin(self) -> dict[str, Found]:
        """The declarations of the package, by name."""
        if self._builtin is None:
            found = [item for file in sorted(self.folder.glob("*.py")) for item in self.read(file)]
            self._builtin = {item.name: item for item in found}
        return self._builtin

    def find(self, name: str, file: str | None) -> Found:
        """The declaration `name` of the package, or of `file`.

        Raises `RecipeError` if there is none, or if the file reuses a name of the package.
        """
        if file is None:
            if name not in self.builtin():
                known = ", ".join(self.builtin())
                raise RecipeError(
                    f"unknown {self.kind} '{name}'; known: {known}; one of your own needs its file: FILE.py"
                )
            return self.builtin()[name]
        found = {item.name: item for item in self.read(Path(file))}
        if taken := sorted(set(found) & set(self.builtin())):
            raise RecipeError(f"{file}: {taken[0]} is an {self.kind} of the package; give yours another name")
        if name not in found:
            raise RecipeError(f"{file} registers no {self.kind} '{name}'; it registers: {', '.join(found) or 'none'}")
        return found[name]


def parsed(file: Path) -> ast.Module:
    """The syntax tree of `file`. Raises `RecipeError` if it is missing or no Python."""
    try:
        return ast.parse(file.read_text())
    except OSError as error:
        raise RecipeError(f"{file}: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise RecipeError(f"{file}:{getattr(error, 'lineno', 1)}: invalid Python: {error.args[0]}") from error


def registrations(node: ast.FunctionDef | ast.ClassDef) -> list[ast.Call]:
    """The `@register(...)` calls of a definition, innermost first, as Python applies them."""
    calls = [call for call in reversed(node.decorator_list) if isinstance(call, ast.Call)]
    return [call for call in calls if ast.unparse(call.func).rpartition(".")[2] == "register"]


def parameter(
    file: Path, node: ast.AST, name: str, annotation: ast.expr | None, default: ast.expr | None, reserved: tuple
) -> Parameter:
    """The setting `name`, which must not be one of `reserved`."""
    if name in reserved:
        raise error_at(file, node, f"no setting can be called {name}")
    hint: Any = annotation and evaluated(file, annotation)
    if get_origin(hint) is not Annotated or not isinstance(hint.__metadata__[0], Setting):
        raise error_at(file, node, f"{name}: write {name}: Annotated[type, Setting(...)] = default")
    if default is None:
        raise error_at(file, node, f"{name} has no default")
    return Parameter(name, hint.__origin__, evaluated(file, default), hint.__metadata__[0])


def evaluated(file: Path, node: ast.expr, **names: Any) -> Any:
    """Evaluate a part of a declaration; any error in it is raised as a `RecipeError`."""
    try:
        return eval(compile(ast.Expression(node), str(file), "eval"), KNOWN | names)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise error_at(
            file, node, f"{reason}; a declaration holds literals, Setting and the types {', '.join(TYPES)}"
        ) from error


def error_at(file: Path, node: Any, message: str) -> RecipeError:
    """`message` with the place of `node`."""
    return RecipeError(f"{file}:{node.lineno}: {message}")
