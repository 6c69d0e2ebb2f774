"""The readers on the rows that are distributed with the package, in the columns and files of the published sets."""

import io
import json
import sys
from contextlib import redirect_stdout

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reward import DOMAINS
from vcore_verl.data.code import deepcoder, evalplus, livecodebench, ojbench, opencode
from vcore_verl.data.code.statements import SETS, Joined, published_statements
from vcore_verl.data.evaluated import EvaluatedProblems
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import Published, mirror_folder, open_published

SAMPLES = mirror_folder("builtin:samples")


def rows(published, columns):
    return list(open_published(published, columns, SAMPLES).rows)


def passes(problem, program):
    """Runs a sample's own program here; the jail does that in earnest."""
    return all(answer(problem, program, test.input).split() == test.output.split() for test in problem.tests)


def answer(problem, program, given):
    scope, printed = {"__name__": "solution" if problem.function else "__main__"}, io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setattr(sys, "stdin", io.StringIO(given))
        exec(program, scope)
        if problem.function:
            function = scope[problem.function]
            return json.dumps(evalplus.typed(function(*(untyped(json.loads(line)) for line in given.split("\n")))))
    return printed.getvalue()


def untyped(value):
    if isinstance(value, dict):
        ((kind, items),) = value.items()
        return {"tuple": tuple, "set": set, "dict": dict}[kind](map(untyped, items))
    return [untyped(item) for item in value] if isinstance(value, list) else value


def evaluated():
    lcb = rows(livecodebench.PYTHON, livecodebench.STATEMENT_COLUMNS)
    oj = rows(ojbench.PUBLISHED, ojbench.COLUMNS)
    return EvaluatedProblems([*map(livecodebench.evaluated, lcb), *map(ojbench.evaluated, oj)], DOMAINS["code"])


@pytest.mark.parametrize(
    ("published", "fence", "main"),
    [(opencode.OCR_2_CPP, "```cpp\n", "int main()"), (opencode.OCR_2_PYTHON, "```python\n", "print(")],
)
def test_traces_are_joined_with_statements_that_they_fit(published, fence, main):
    joined = list(Joined(rows(published, opencode.OCR_2_COLUMNS), published_statements(SAMPLES)))
    right = [row for row in joined if not opencode.JUDGED_RIGHT.rejects(row)]
    solved = [opencode.opencode_2(row) for row in right]
    assert (len(joined), len(right), sum(not item.statement for item in solved)) == (20, 18, 1)
    assert {row["dataset"] for row in joined} == {source.dataset for source in SETS}
    assert all(main in item.trace.rpartition(fence)[2] for item in solved)
    told = {item.group for item in solved if item.statement}
    found = evaluated()
    assert told - {item.group for item in solved if found.overlaps(item.statement)} == told - {"lock"}
    assert len(told) == 14 and sum(opencode.passing(0.8).rejects(row) for row in right) == 3


def test_the_other_traces_have_their_statements():
    first = [opencode.opencode_1(row) for row in rows(opencode.OCR_1_SPLIT_0, opencode.OCR_1_COLUMNS)]
    paper = [opencode.vcore_code(row) for row in rows(opencode.VCORE_CODE, opencode.VCORE_COLUMNS)]
    assert [item.statement for item in first[:13]] == [item.statement for item in paper] and first[13].statement == ""


@pytest.mark.parametrize(("config", "kept", "functions", "empty"), [("taco", 14, 2, 1), ("primeintellect", 12, 2, 1)])
def test_problems_for_rl_are_solved_by_their_reference_solutions(config, kept, functions, empty):
    found = rows(Published(deepcoder.HUB_ID, "train", config), deepcoder.COLUMNS)
    reasons = [deepcoder.unusable(row, "cpp") for row in found]
    assert len(found) == kept and reasons.count(deepcoder.FUNCTIONS) == functions
    assert reasons.count(deepcoder.NO_TESTS) == empty
    usable = [row for row in found if deepcoder.unusable(row, "python") is None]
    verified = [deepcoder.verified(row, "python", passes) for row in usable]
    assert verified.count(None) == (config == "taco")  # the cobbler's solution is wrong
    assert sum(evaluated().overlaps(row["problem"]) for row in found) == (config == "taco")


def test_both_editions_of_livecodebench_have_programs_and_functions_with_plain_and_packed_tests():
    python, cpp = (rows(edition, livecodebench.COLUMNS) for edition in (livecodebench.PYTHON, livecodebench.CPP))
    assert [row["private_test_cases"].startswith("[") for row in python] == [False, True, False, True, False, True]
    problems = [livecodebench.python_problem(row) for row in python]
    assert [len(problem.tests) for problem in problems] == [4] * 6
    assert [problem.function for problem in problems] == [None] * 4 + ["longestDark", "relatives"]
    assert [row["question_id"] for row in python if livecodebench.in_window(row)] == [row["question_id"] for row in cpp]
    edition = [livecodebench.cpp_problem(row) for row in cpp]
    assert [problem.tests for problem in edition] == [problem.tests for problem in problems[2:]]
    assert [problem.function for problem in edition] == [None, None, "longestDark", "relatives"]
    assert [problem.unjudged for problem in edition] == [""] * 4


def test_ojbenchs_problems_have_archives_and_checkers():
    problems = [ojbench.problem(row, SAMPLES / ojbench.HUB_ID) for row in rows(ojbench.PUBLISHED, ojbench.COLUMNS)]
    assert [problem.language for problem in problems] == ["cpp"] * 4 + ["python"] * 4
    assert [problem.compare for problem in problems[:3]] == ["floats", "tokens", "tokens"]
    assert [len(problem.tests) for problem in problems] == [4, 4, 4, 0] * 2
    assert problems[3].unjudged == "it needs the checker bridged (files=checker.cpp)"


@pytest.mark.parametrize(
    ("published", "columns", "read_row"),
    [
        (evalplus.HUMANEVAL, evalplus.HUMANEVAL_COLUMNS, evalplus.humaneval_problem),
        (evalplus.MBPP, evalplus.MBPP_COLUMNS, evalplus.mbpp_problem),
    ],
)
def test_functions_have_values_of_their_own_solutions(published, columns, read_row):
    found = rows(published, columns)

    def values(program, function, inputs):
        return [answer(problem_for(function), program, given) for given in inputs]

    problems = [read_row(row, values, passes) for row in found]
    assert [problem.unjudged for problem in problems] == [""] * 4
    assert [problem.compare for problem in problems] == ["typed"] * 4
    assert all(len(problem.tests) >= 4 for problem in problems)


def problem_for(function):
    return evalplus.CodeProblem("", "", [], (), function=function)


def test_only_the_columns_asked_for_are_read_of_a_parquet_copy(tmp_path):
    """As on a machine without internet; the rows of another revision are noticed."""
    folder = tmp_path / "BAAI" / "TACO" / "ALL"
    folder.mkdir(parents=True)
    table = pa.table({"question": ["Count."], "url": [""], "solutions": ["a" * 1000]})
    pq.write_table(table, folder / "train-00000-of-00001.parquet")
    taco = SETS[0]
    (row,) = open_published(taco.published("train"), taco.columns, tmp_path).rows
    assert row == {"question": "Count.", "url": ""}
    with pytest.raises(DataError, match="split train of BAAI/TACO has 1 rows, but 25,443"):
        published_statements(tmp_path).at("taco", "train", "0")
    pq.write_table(table.drop_columns("url"), folder / "train-00000-of-00001.parquet")
    with pytest.raises(DataError, match="url") as error:
        published_statements(tmp_path).at("taco", "train", "0")
    assert "\n" not in str(error.value)
