"""What stands before a Python program: the names that LiveCodeBench's checker gives it (testing_util.py at 28fef95).

Solutions use `List`, `sqrt` or `deque` without importing them, since the sites they are written for do so. Recursion
is limited to 50,000 calls and printed integers to 50,000 digits, as there.
"""

import sys

_STARRED = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json"),
)
# builtins restores pow and open, which the others hide; the modules' own names come last (datetime is the module), and
# quit is sys.exit: site's is not there in the jail.
NAMES = (
    "".join(f"from {module} import *\n" for module in (*_STARRED, "builtins", "typing"))
    + f"import {', '.join(_STARRED)}\nquit = exit\n"
)
_LIMITS = """
sys.setrecursionlimit(50_000)
if hasattr(sys, 'set_int_max_str_digits'):  # from 3.10.7
    sys.set_int_max_str_digits(50_000)
"""


def set_limits() -> None:
    exec(_LIMITS, {"sys": sys})


def with_prelude(source: str) -> str:
    """A program that runs the prelude, then `source` as a module of its own, whose line numbers and `from __future__`
    imports hold: for where no fork server has run it before."""
    return f"{NAMES}{_LIMITS}exec(compile({source!r}, 'solution.py', 'exec', dont_inherit=True))\n"
