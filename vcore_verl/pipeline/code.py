"""Hashes of the project files that compute a result, to detect changes. Imports no torch.

Files are parsed, not imported. Starting from a stage's own modules, every import of this project is followed, also
inside functions, and every string that names a module, as child processes and verl's plug-ins are given by name.
`config`, `runs` and `runtime` are left out: they do not compute results, and recipes are compared key by key. A
package's `__init__.py` counts if the package itself is imported, not if only a module in it is.
"""

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

from vcore_verl.config import algorithms, objectives
from vcore_verl.config.composition import ROOT

PROJECT = ("vcore_verl", "reward")
LEFT_OUT = ("vcore_verl.config", "vcore_verl.runs", "vcore_verl.runtime")
COUNTED = "vcore_verl.config.overrides"  # the exception: it merges verl's settings
OBJECTIVES, ALGORITHMS = "vcore_verl.objectives", "vcore_verl.rl.algorithms"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_of(*modules: str, objective: str | None = None, algorithm: str | None = None) -> dict[str, str]:
    """File -> hash of its syntax tree without docstrings, for `modules` and everything they import.

    Of the files of objectives and RL algorithms, only those that register `objective` and `algorithm` and their imports
    are included.
    """
    declared = [
        *((OBJECTIVES, item.file, name == objective) for name, item in objectives.builtin().items()),
        *((ALGORITHMS, item.file, name == algorithm) for name, item in algorithms.builtin().items()),
    ]
    rooms = {file: room for room, file, _ in declared}
    own = {file for _, file, is_chosen in declared if is_chosen}
    found: dict[str, str] = {}
    waiting = [(name, "") for name in (*modules, *(f"{rooms[file]}.{file.stem}" for file in own))]
    while waiting:
        name, importer = waiting.pop()
        path = _file(name)
        if path is None or _label(path) in found or (name.startswith(LEFT_OUT) and name != COUNTED):
            continue
        if path in rooms and path not in own and not importer.startswith(f"{rooms[path]}."):
            continue
        found[_label(path)], names = _parsed(path, path.stat().st_mtime_ns)
        waiting += [(other, name) for other in names]
    return dict(sorted(found.items()))


def _file(name: str) -> Path | None:
    """The file of a module; None for other names, and for the root package, which only has the version."""
    place = ROOT.joinpath(*name.split("."))
    found = (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())
    return None if name == PROJECT[0] else next(found, None)


def _label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _parsed(path: Path, modified: int) -> tuple[str, frozenset[str]]:
    """Hash of a file, and the dotted names of this project in it; `modified` (ns) is part of the cache key."""
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
