"""What stands before a Python program: the names that LiveCodeBench's checker gives it (testing_util.py at 28fef95).

Solutions use `List`, `sqrt` or `deque` without importing them, since the sites they are written for do so. Recursion
is limited to 50,000 calls and printed integers to 50,000 digits, as there.
"""

_STARRED = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json"),
)
# builtins restores pow and open, which the others hide; the modules' own names come last (datetime is the module).
_NAMES = "".join(f"from {module} import *\n" for module in (*_STARRED, "builtins", "typing"))
_MODULES = f"import {', '.join(_STARRED)}\n"
_DIGITS = "if hasattr(sys, 'set_int_max_str_digits'):\n    sys.set_int_max_str_digits(50_000)\n"  # from 3.10.7
_LIMITS = f"sys.setrecursionlimit(50_000)\n{_DIGITS}"
PRELUDE = f"{_NAMES}{_MODULES}{_LIMITS}quit = exit\n"  # sys.exit; site's quit is not there in the jail

# compile() alone, of a program that the check reads from stdin.
SYNTAX_CHECK = PRELUDE + "compile(sys.stdin.buffer.read().decode(), 'program.py', 'exec', dont_inherit=True)\n"


def with_prelude(source: str) -> str:
    """A program that runs the prelude, then `source` as a module of its own, whose line numbers and `from __future__`
    imports hold."""
    return f"{PRELUDE}exec(compile({source!r}, 'program.py', 'exec', dont_inherit=True))\n"
