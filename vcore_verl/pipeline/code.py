"""The code of this project that computes a result: a hash of each file, by which a change is noticed. Imports no torch.

Files are parsed, not imported: from a stage's own modules along every import of this project, those inside functions
too, and along every string that names a module, since child processes and verl's plug-in points are named so. `config`,
`runs` and `runtime` are left out: they say what was asked, where it lies and who watches it, and what a recipe asks is
compared key by key. A package's own file counts where it is imported by its name, not for a module in it.
"""

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

from vcore_verl.config import objectives
from vcore_verl.config.composition import ROOT

PROJECT = ("vcore_verl", "reward")
LEFT_OUT = ("vcore_verl.config", "vcore_verl.runs", "vcore_verl.runtime")
COUNTED = "vcore_verl.config.overrides"  # of those: it merges what verl gets
OBJECTIVES = "vcore_verl.objectives"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_of(*modules: str, objective: str | None = None) -> dict[str, str]:
    """File -> hash of its syntax tree without docstrings, of `modules` and of all that they import.

    Of the objectives' files those count that register `objective`, and what they import.
    """
    files = {item.name: item.file for item in objectives.builtin().values()}
    own = files.get(objective or "")
    found: dict[str, str] = {}
    waiting = [(name, "") for name in (*modules, *([f"{OBJECTIVES}.{own.stem}"] if own else []))]
    while waiting:
        name, importer = waiting.pop()
        path = _file(name)
        if path is None or _label(path) in found or (name.startswith(LEFT_OUT) and name != COUNTED):
            continue
        if path in files.values() and path != own and not importer.startswith(f"{OBJECTIVES}."):
            continue
        found[_label(path)], names = _parsed(path, path.stat().st_mtime_ns)
        waiting += [(other, name) for other in names]
    return dict(sorted(found.items()))


def _file(name: str) -> Path | None:
    """The file of a module; None for other names, and for the root package, which holds nothing but its version."""
    place = ROOT.joinpath(*name.split("."))
    found = (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())
    return None if name == PROJECT[0] else next(found, None)


def _label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _parsed(path: Path, modified: int) -> tuple[str, frozenset[str]]:
    """Hash of a file as of its time of modification, and the dotted names of this project in it."""
    tree = ast.parse(path.read_bytes())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update((node.module, *(f"{node.module}.{alias.name}" for alias in node.names)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.removeprefix("pkg://")
            names.update((name, f"{name}.__main__"))
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            del node.body[0]
    ours = {name for name in names if name.partition(".")[0] in PROJECT and re.fullmatch(r"[\w.]+", name)}
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]
    return digest, frozenset(ours)
