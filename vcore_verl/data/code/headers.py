"""The headers of functions in Python programs, which are parsed and not run. Imports no torch."""

import ast
from collections.abc import Iterable


def header(programs: Iterable[str], function: str) -> str:
    """The header of `function`, that of its class included, in the first of the programs that defines it."""
    for program in programs:
        tree = parsed(program)
        classes = [(f"class {node.name}:\n    ", node.body) for node in tree.body if isinstance(node, ast.ClassDef)]
        for before, body in [("", tree.body), *classes]:
            for item in body:
                if isinstance(item, ast.FunctionDef) and item.name == function:
                    return f"{before}def {function}({ast.unparse(item.args)}):"
    return f"def {function}(*args):"


def called(test: str, program: str) -> str | None:
    """The function of `program` that the assertion `test` calls first."""
    defined = {item.name for item in parsed(program).body if isinstance(item, ast.FunctionDef)}
    calls = (node.func for node in ast.walk(parsed(test)) if isinstance(node, ast.Call))
    return next((func.id for func in calls if isinstance(func, ast.Name) and func.id in defined), None)


def parsed(program: str) -> ast.Module:
    """The program's tree, an empty one if it is no Python."""
    try:
        return ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])
