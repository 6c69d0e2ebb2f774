import json
import re
from pathlib import Path

import pytest

from vcore_verl.data.code import deepcoder
from vcore_verl.data.code.deepcoder import FUNCTIONS, NO_TESTS, TOO_LARGE, UNREADABLE, Unusable
from vcore_verl.data.funnel import Funnel

SUM = "print(sum(map(int, input().split())))"


def row(tests, solutions=(SUM,), problem="Add the numbers on the line."):
    return {"problem": problem, "tests": tests if isinstance(tests, str) else json.dumps(tests), "solutions": solutions}


TACO = row({"inputs": ["1 2\n", ["3", "4 5"]], "outputs": ["3\n", ["7"]]})
PRIME = row([{"type": "stdin_stdout", "input": "1 2\n", "output": "3\n"}])
SORTED = row(
    {"fn_name": "up", "inputs": [[[2, 1]], [[3]]], "outputs": [[[1, 2]], [[3]]]},
    ["```python\nclass Solution:\n    def up(self, items: list, *, by=None):\n        return sorted(items)\n```"],
)


def pairs(problem):
    return [tuple(test) for test in problem.tests]


def test_both_forms_of_programs_tests_are_read():
    taco, prime = deepcoder.problem(TACO, "python"), deepcoder.problem(PRIME, "cpp")
    assert pairs(taco) == [("1 2\n", "3\n"), ("3\n4 5", "7")] and taco.function is None
    assert pairs(prime) == [("1 2\n", "3\n")] and prime.solutions == (SUM,)
    assert "Python 3" in taco.prompt[0]["content"] and "c++17" in prime.prompt[0]["content"]
    reference = json.loads(prime.reference("0" * 64).dumps())
    assert (reference["tests"], reference["num_tests"], reference["language"]) == ("0" * 64, 1, "cpp")


def test_a_function_has_its_header_from_a_solution_and_arguments_on_lines():
    problem = deepcoder.problem(SORTED, "python")
    assert problem.function == "up" and pairs(problem) == [("[2, 1]", "[1, 2]"), ("[3]", "[3]")]
    assert "```python\nclass Solution:\n    def up(self, items: list, *, by=None):\n```" in problem.prompt[0]["content"]
    two = row(
        [{"type": "function_call", "fn_name": "mix", "input": [1, {"a": None}], "output": [True]}], ["not Python"]
    )
    problem = deepcoder.problem(two, "python")
    assert pairs(problem) == [('1\n{"a": null}', "true")]
    assert "def mix(*args):" in problem.prompt[0]["content"]


def test_the_reading_that_a_solution_passes_is_chosen():
    bare = row({"fn_name": "f", "inputs": [[1]], "outputs": [[5]]})
    assert [tuple(test.output for test in tests) for tests in deepcoder._readings(deepcoder._read(bare["tests"]))] == [
        ("5",),
        ("[5]",),
    ]
    assert pairs(deepcoder.verified(bare, "python", lambda problem, _: problem.tests[0].output == "[5]")) == [
        ("1", "[5]")
    ]


def test_a_problem_whose_solutions_fail_is_given_up_after_three():
    run = []
    many = row({"inputs": ["1"], "outputs": ["1"]}, [f"print({number})" for number in range(9)])
    assert deepcoder.verified(many, "python", lambda problem, program: bool(run.append(program))) is None
    assert run == ["print(0)", "print(1)", "print(2)"]
    assert deepcoder.verified(many, "python", lambda problem, program: program == "print(2)").solutions[2] == "print(2)"
    assert deepcoder.verified(row({"inputs": ["1"], "outputs": ["1"]}, None), "python", lambda *_: True) is None


@pytest.mark.parametrize(
    ("tests", "language", "reason"),
    [
        ({"inputs": [], "outputs": []}, "python", NO_TESTS),
        ([], "python", NO_TESTS),
        ("", "python", NO_TESTS),
        ({"inputs": ["1"], "outputs": []}, "python", UNREADABLE),
        ({"inputs": "1", "outputs": "1"}, "python", UNREADABLE),
        ({"outputs": []}, "python", UNREADABLE),
        ([1], "python", UNREADABLE),
        ([{"input": "1"}], "python", UNREADABLE),
        ("{", "python", UNREADABLE),
        ("7", "python", UNREADABLE),
        ("[" * 100_000, "python", UNREADABLE),
        ({"fn_name": 3, "inputs": ["1"], "outputs": ["1"]}, "python", UNREADABLE),
        ("[" + " " * 8_000_000 + "]", "python", TOO_LARGE),
        ({"fn_name": "f", "inputs": [[1]], "outputs": [[1]]}, "cpp", FUNCTIONS),
    ],
)
def test_each_reason_to_drop_a_row_is_counted_by_its_own_check(tests, language, reason):
    checks = deepcoder.filters(language)
    funnel = Funnel(check.reason for check in checks)
    assert not funnel.passes(row(tests), checks)
    assert {name: count for name, count in funnel.dropped.items() if count} == {reason: 1}
    with pytest.raises(Unusable, match=re.escape(reason)):
        deepcoder.problem(row(tests), language)


def test_functions_are_kept_for_python():
    assert deepcoder.unusable(SORTED, "python") is None and deepcoder.unusable(TACO, "cpp") is None
    assert FUNCTIONS not in [check.reason for check in deepcoder.filters("python")]


def test_evaluation_sets_are_not_read_for_training():
    files = [f"{config}/train-00000-of-00001.parquet" for config in ("taco", "primeintellect", "lcbv5", "codeforces")]
    read = [any(Path(file).match(pattern) for pattern in deepcoder.PUBLISHED.files) for file in files]
    assert read == [True, True, False, False]
