import base64
import json
import pickle
import zlib

import pytest

from reward import DOMAINS
from vcore_verl.data.code import livecodebench
from vcore_verl.data.evaluated import EvaluatedProblems
from vcore_verl.data.hub import DataError


def packed(tests):
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


def row(**changed):
    test = {"input": "1 2\n", "output": "3\n", "testtype": "stdin"}
    hidden = {"input": "5 6\n", "output": "11\n", "testtype": "stdin"}
    return {
        "question_title": "Add Them!",
        "question_content": "Add the two numbers.",
        "platform": "atcoder",
        "question_id": "abc999_a",
        "contest_id": "abc999",
        "contest_date": "2024-08-03T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps([test]),
        "private_test_cases": packed([hidden]),
        "metadata": "{}",
    } | changed


FUNCTION = row(
    platform="leetcode",
    question_id="3999",
    starter_code="class Solution:\n    def add(self, a: int, b: int) -> int:\n        ",
    public_test_cases=json.dumps([{"input": "1\n2", "output": "3", "testtype": "functional"}]),
    private_test_cases="[]",
    metadata='{"func_name": "add"}',
)


def test_a_program_is_asked_for_as_the_official_runner_does():
    problem = livecodebench.python_problem(row())
    system, asked = problem.prompt
    assert system["role"] == "system" and system["content"].startswith("You are an expert Python programmer. You will")
    assert system["content"].endswith("You will NOT return anything except for the program.")
    assert asked["content"] == (
        "### Question:\nAdd the two numbers.\n\n"
        "### Format: Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test "
        "on the sample inputs). Enclose your code within delimiters as follows.\n```python\n# YOUR CODE HERE\n```\n\n"
        "### Answer: (use the provided format with backticks)\n\n"
    )


def test_public_tests_come_before_private_ones():
    problem = livecodebench.python_problem(row())
    assert [tuple(test) for test in problem.tests] == [("1 2\n", "3\n"), ("5 6\n", "11\n")]
    assert (problem.problem_id, problem.function, problem.cpu_seconds) == ("livecodebench-abc999_a", None, 6.0)


def test_starter_code_makes_a_function():
    problem = livecodebench.python_problem(FUNCTION)
    assert problem.function == "add" and [tuple(test) for test in problem.tests] == [("1\n2", "3")]
    assert (
        f"enclose your code within delimiters.\n```python\n{FUNCTION['starter_code']}\n```\n\n"
        in (problem.prompt[1]["content"])
    )


def test_the_cpp_edition_asks_for_cpp_in_one_message():
    (asked,) = livecodebench.cpp_problem(row()).prompt
    assert asked["content"] == (
        "Add the two numbers.\n\nWrite a C++14 or C++17 code to solve the problem. Please place the solution code in "
        "the following format:\n```cpp\n// Your solution code here\n```"
    )


@pytest.mark.parametrize("metadata", ["{}", "", "[]", "null"])
def test_a_function_without_a_name_is_refused(metadata):
    with pytest.raises(
        DataError, match="LiveCodeBench problem 3999 has starter code, but its metadata lacks func_name"
    ):
        livecodebench.python_problem(FUNCTION | {"metadata": metadata})


@pytest.mark.parametrize(
    ("date", "inside"),
    [("2024-07-31T23:00:00", False), ("2024-08-01T00:00:00", True), ("2025-05-31", True), ("2025-06-01", False)],
)
def test_the_window_is_by_the_contests_date(date, inside):
    assert livecodebench.in_window(row(contest_date=date)) is inside


@pytest.mark.parametrize(
    ("changed", "link"),
    [
        ({}, "https://atcoder.jp/contests/abc999/tasks/abc999_a"),
        ({"platform": "leetcode", "question_id": "3999"}, "https://leetcode.com/problems/add-them/"),
        ({"platform": "codeforces", "question_id": "1899_B"}, "https://codeforces.com/contest/1899/problem/B"),
    ],
)
def test_a_training_problem_that_links_to_an_evaluation_problem_is_known(changed, link):
    evaluated = EvaluatedProblems([livecodebench.evaluated(row(**changed))], DOMAINS["code"])
    assert evaluated.named(f"Other words, from {link}.") and not evaluated.named("Other words.")
