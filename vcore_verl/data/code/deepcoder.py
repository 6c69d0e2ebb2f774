"""DeepCoder-Preview (Luo et al., 2025): problems for RL with tests and reference solutions, verified by their authors.

Two of its four configurations are training data. Their tests are of two forms: `taco` has lists `inputs` and `outputs`
and perhaps `fn_name`, `primeintellect` a list of tests that each have `input`, `output` and perhaps `fn_name`. Imports
no torch.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from reward.code.blocks import Language
from reward.code.store import Test
from vcore_verl.data.code import templates
from vcore_verl.data.code.headers import header
from vcore_verl.data.code.problem import MAX_TEST_BYTES, CodeProblem, Passes, Unusable
from vcore_verl.data.evaluated import names
from vcore_verl.data.funnel import Check
from vcore_verl.data.published import Published, Row
from vcore_verl.data.rows import user

HUB_ID = "agentica-org/DeepCoder-Preview-Dataset"
COLUMNS = ("problem", "tests", "solutions")
SIZES = {"taco": 7_436, "primeintellect": 16_252}
# The other two configurations are inside evaluation sets, lcbv5 in LiveCodeBench and codeforces in CodeElo.
PUBLISHED = Published(HUB_ID, "train", files=tuple(f"{config}/train-*.parquet" for config in SIZES), projected=True)
MAX_SOLUTIONS = 3  # reference solutions that are run before a problem is given up

TOO_LARGE = f"more than {MAX_TEST_BYTES // 1_000_000} MB of tests"
UNREADABLE = "tests that are not in DeepCoder's form"
NO_TESTS = "no tests"
FUNCTIONS = "tests call a function, which the tests of C++ programs cannot"
REASONS = (TOO_LARGE, UNREADABLE, NO_TESTS, FUNCTIONS)
UNSOLVED = "no reference solution passes its tests here"

_FENCED = re.compile(r"\s*```(?:python|py)?\s*\n(.*?)\n?```\s*", re.DOTALL)


@dataclass(frozen=True)
class _Tests:
    """Inputs and outputs as in the JSON; `function` is what they call."""

    inputs: list[Any]
    outputs: list[Any]
    function: str | None


def filters(language: Language) -> tuple[Check, ...]:
    """One check for each reason for which a row makes no problem."""

    def rejects(reason: str) -> Check:
        return Check(reason, lambda row: unusable(row, language) == reason)

    return tuple(rejects(reason) for reason in REASONS if reason != FUNCTIONS or language == "cpp")


def unusable(row: Row, language: Language) -> str | None:
    """The reason for which the row makes no problem; None if it makes one."""
    try:
        tests = _read(row["tests"] or "")
    except Unusable as error:
        return str(error)
    return FUNCTIONS if tests.function and language == "cpp" else None


def problem(row: Row, language: Language) -> CodeProblem:
    """The problem of a row. Raises `Unusable`.

    Where tests of functions can be read in two ways, this is the first; `verified` decides.
    """
    if reason := unusable(row, language):
        raise Unusable(reason)
    tests = _read(row["tests"])
    statement = (row["problem"] or "").strip()
    solutions = tuple(_program(text) for text in row["solutions"] or ())
    if tests.function:
        prompt = templates.code_function(statement, header(solutions, tests.function))
    else:
        prompt = templates.program(statement, language)
    return CodeProblem(
        problem_id="",
        statement=statement,
        prompt=user(prompt),
        tests=next(_readings(tests)),
        language=language,
        function=tests.function,
        names=names(statement),
        solutions=solutions,
    )


def verified(row: Row, language: Language, passes: Passes) -> CodeProblem | None:
    """The problem with the tests that one of its reference solutions passes; None if none does.

    The solutions are Python programs, also where C++ is asked for.
    """
    found = problem(row, language)
    for tests in _readings(_read(row["tests"])):
        read = found.with_tests(tests)
        if any(passes(read, solution) for solution in found.solutions[:MAX_SOLUTIONS]):
            return read
    return None


class Candidate:
    """A row that makes a problem if one of its reference solutions passes its tests; `problem` is None until then."""

    def __init__(self, row: Row, language: Language) -> None:
        self.row, self.language = row, language
        self.problem: CodeProblem | None = None

    def solved(self, passes: Passes) -> bool:
        self.problem = verified(self.row, self.language, passes)
        return self.problem is not None


@lru_cache(maxsize=1)  # the checks of a row and the problem made from it read the same tests
def _read(text: str) -> _Tests:
    if len(text) > MAX_TEST_BYTES:
        raise Unusable(TOO_LARGE)
    try:
        tests = json.loads(text or "[]")
        if isinstance(tests, dict):
            inputs, outputs, function = tests["inputs"], tests["outputs"], tests.get("fn_name")
        else:
            inputs, outputs = [test["input"] for test in tests], [test["output"] for test in tests]
            function = next((test.get("fn_name") for test in tests), None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unusable(UNREADABLE) from error
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise Unusable(UNREADABLE)
    if function is not None and not isinstance(function, str):
        raise Unusable(UNREADABLE)
    if not inputs:
        raise Unusable(NO_TESTS)
    return _Tests(inputs, outputs, function or None)


def _readings(tests: _Tests) -> Iterator[tuple[Test, ...]]:
    """The ways to read the tests, the likelier first.

    As in APPS, the value that a function returns is mostly wrapped in a list: [3] for 3. Of functions that return a
    list of one element, nothing but a solution tells the two apart.
    """
    if tests.function is None:
        pairs = zip(tests.inputs, tests.outputs, strict=True)
        yield tuple(Test(_lines(given), _lines(expected)) for given, expected in pairs)
        return
    inputs = [_arguments(given) for given in tests.inputs]
    if all(isinstance(value, list) and len(value) == 1 for value in tests.outputs):
        yield _function_tests(inputs, [value[0] for value in tests.outputs])
    yield _function_tests(inputs, tests.outputs)


def _function_tests(inputs: list[str], outputs: list[Any]) -> tuple[Test, ...]:
    return tuple(Test(given, json.dumps(value)) for given, value in zip(inputs, outputs, strict=True))


def _lines(text: Any) -> str:
    """Input and output of programs are text, or a list of lines."""
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text)


def _arguments(given: Any) -> str:
    """The arguments as JSON, one a line; text is taken to be that already."""
    if isinstance(given, str):
        return given
    return "\n".join(json.dumps(argument) for argument in (given if isinstance(given, list) else [given]))


def _program(text: str) -> str:
    fenced = _FENCED.fullmatch(text)
    return fenced[1] if fenced else text
