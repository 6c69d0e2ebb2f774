"""The ground truth of a programming problem: a short reference to its tests, and how they are run and compared."""

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from reward.code.blocks import Language
from reward.code.compare import TYPED, Comparison

_SHA = re.compile(r"[0-9a-f]{64}")
_MAX_SECONDS = 600.0
_MIN_MEMORY_MB = 64  # less, and the interpreter itself does not start


@dataclass(frozen=True)
class Reference:
    """What a row of a data set says of its tests.

    tests: the hash under which `reward.code.store` holds them; "" if nothing here can judge a program: all fail.
    num_tests: how many they are, for readers of the row.
    function: the name of the function or of `Solution`'s method to call; None: the program reads stdin.
    compare: how printed output is compared; a function's value is compared by `reward.code.compare.value`
    instead, unless `compare` is one of `reward.code.compare.TYPED`.
    cpu_seconds, memory_mb: the limits of one test.

    Raises:
        ValueError: a field has another type or value than it may have.
    """

    tests: str
    num_tests: int
    function: str | None = None
    compare: Comparison = "lines"
    cpu_seconds: float = 6.0
    memory_mb: int = 1024
    language: Language = "python"

    def __post_init__(self) -> None:
        none = self.tests == "" and self.num_tests == 0
        sha = isinstance(self.tests, str) and bool(_SHA.fullmatch(self.tests))
        _check("tests", sha or none, '64 hexadecimal digits, or "" with num_tests 0')
        _check("num_tests", _is_int(self.num_tests) and (self.num_tests > 0 or none), "a positive integer")
        _check("function", self.function is None or _is_name(self.function), "a name or null")
        _check("compare", self.compare in get_args(Comparison), f"one of {', '.join(get_args(Comparison))}")
        python_function = self.function is not None and self.language == "python"
        fits = self.compare not in TYPED or python_function
        _check("compare", fits, f"lines, tokens or floats: {self.compare} is for Python's functions")
        seconds = isinstance(self.cpu_seconds, (int, float)) and not isinstance(self.cpu_seconds, bool)
        _check("cpu_seconds", seconds and 0 < self.cpu_seconds <= _MAX_SECONDS, f"above 0, at most {_MAX_SECONDS:g}")
        _check("memory_mb", _is_int(self.memory_mb) and self.memory_mb >= _MIN_MEMORY_MB, f"at least {_MIN_MEMORY_MB}")
        _check("language", self.language in get_args(Language), f"one of {', '.join(get_args(Language))}")

    @property
    def judged(self) -> bool:
        return self.tests != ""

    def dumps(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def loads(text: str) -> "Reference":
        """The inverse of `dumps`. Raises ValueError, in one line, on anything else."""
        try:
            values = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            raise ValueError(f"not the ground truth of a programming problem: {str(text)[:80]!r}") from None
        known = {field.name for field in fields(Reference)}
        if not isinstance(values, dict) or not {"tests", "num_tests"} <= values.keys() <= known:
            raise ValueError(f"not the ground truth of a programming problem: {text[:80]!r}")
        return Reference(**values)


def _check(name: str, holds: bool, wanted: str) -> None:
    if not holds:
        raise ValueError(f"ground truth of a programming problem: {name} must be {wanted}")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.isidentifier()
