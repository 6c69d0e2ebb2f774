"""LiveCodeBench (Jain et al., 2024) and its C++ edition. Imports no torch.

Each release adds a file of rows, of 4 MB on average since they hold the tests: they are read one by one. The prompts
are those of the official runner, so that scores can be compared: `get_generic_question_template_answer` for chat models
in `lcb_runner/prompts/code_generation.py`; for C++ those of NeMo-Skills' `livecodebench-cpp/prepare.py`.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace

from reward.code.blocks import Language
from reward.code.cpp_function import arguments
from vcore_verl.data.code.private_tests import decode
from vcore_verl.data.code.problem import CodeProblem
from vcore_verl.data.evaluated import Evaluated, name
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import Published, Row
from vcore_verl.data.rows import Messages, user

HUB_ID = "livecodebench/code_generation_lite"
REVISION = "0fe84c3912ea0c4d4a78037083943e8f0c4dd505"
RELEASE_6 = ("test.jsonl", "test2.jsonl", "test3.jsonl", "test4.jsonl", "test5.jsonl", "test6.jsonl")
SIZE, WINDOW_SIZE = 1055, 454
PYTHON = Published(HUB_ID, "test", files=RELEASE_6)
CPP = Published("nvidia/LiveCodeBench-CPP", "v6_2408_2505")

STATEMENT_COLUMNS = ("question_title", "question_content", "platform", "question_id", "contest_date")
COLUMNS = (*STATEMENT_COLUMNS, "starter_code", "public_test_cases", "private_test_cases", "metadata")

CPU_SECONDS = 6.0  # for one test, the official default

_SYSTEM = (
    "You are an expert Python programmer. You will be given a question (problem specification) and will generate a "
    "correct Python program that matches the specification and passes all tests. You will NOT return anything except "
    "for the program."
)
_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose your code within "
    "delimiters."
)
_STDIN = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample "
    "inputs). Enclose your code within delimiters as follows."
)
_CPP_STARTER = "Please place the solution code in C++14 or C++17 language in the following format:"
_CPP_STDIN = "Write a C++14 or C++17 code to solve the problem. Please place the solution code in the following format:"


def python_prompt(row: Row) -> Messages:
    """The official prompt: system sentence, question, format, answer."""
    instruction, code = (_STARTER, row["starter_code"]) if row["starter_code"] else (_STDIN, "# YOUR CODE HERE")
    asked = (
        f"### Question:\n{row['question_content']}\n\n### Format: {instruction}\n```python\n{code}\n```\n\n"
        "### Answer: (use the provided format with backticks)\n\n"
    )
    return [{"role": "system", "content": _SYSTEM}, *user(asked)]


def cpp_prompt(row: Row) -> Messages:
    """Question, header of the function if there is one, format."""
    asked, instruction = row["question_content"], _CPP_STDIN
    if row["starter_code"]:
        asked += (
            "\n\nSolve the problem starting with the provided function header.\n\nFunction header:\n"
            f"```\n{row['starter_code']}\n```"
        )
        instruction = _CPP_STARTER
    return user(f"{asked}\n\n{instruction}\n```cpp\n// Your solution code here\n```")


def python_problem(row: Row) -> CodeProblem:
    """Raises `DataError` for tests that are refused, or a function without a name."""
    return _problem(row, "python", python_prompt)


def cpp_problem(row: Row) -> CodeProblem:
    """As `python_problem`, for a row of the C++ edition. A function with arguments of other kinds is not judged."""
    problem = _problem(row, "cpp", cpp_prompt)
    try:
        for test in problem.tests if problem.function else ():
            arguments(test.input.encode())
    except ValueError as error:
        return replace(problem, function=None).not_judged(str(error))
    return problem


def in_window(row: Row) -> bool:
    """Whether the contest was held from August 2024 to May 2025: 454 problems of release 6."""
    return "2024-08" <= str(row["contest_date"])[:7] <= "2025-05"


def evaluated(row: Row) -> Evaluated:
    """What training problems are compared with; needs `STATEMENT_COLUMNS` only."""
    return Evaluated(f"livecodebench-{row['question_id']}", row["question_content"], _names(row))


def _problem(row: Row, language: Language, prompt: Callable[[Row], Messages]) -> CodeProblem:
    identifier = str(row["question_id"])
    public, called = decode(row["public_test_cases"], identifier)
    private, _ = decode(row["private_test_cases"], identifier)
    function = _function(row) if row["starter_code"] or called else None
    return CodeProblem(
        problem_id=f"livecodebench-{identifier}",
        statement=row["question_content"],
        prompt=prompt(row),
        tests=public + private,
        language=language,
        function=function,
        cpu_seconds=CPU_SECONDS,
        names=_names(row),
    )


def _function(row: Row) -> str:
    try:
        return str(json.loads(row["metadata"])["func_name"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"LiveCodeBench problem {row['question_id']} has starter code, but its metadata lacks func_name"
        ) from error


def _names(row: Row) -> frozenset[str]:
    """AtCoder: abc301_a; Codeforces: 1873_A; LeetCode: a number, but its links name the title."""
    platform, identifier = row["platform"].casefold(), str(row["question_id"])
    if platform == "codeforces":
        return name("codeforces", identifier.replace("_", "/"))
    if platform == "leetcode":
        return name("leetcode", re.sub(r"[^a-z0-9]+", "-", row["question_title"].casefold()).strip("-"))
    return name(platform, identifier)
