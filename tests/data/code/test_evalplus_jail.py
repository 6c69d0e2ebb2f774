"""Rows of HumanEval+ and MBPP+ made to problems by the real jail, and verdicts on programs for them."""

from dataclasses import dataclass

import pytest

from reward.code.jail import Jail
from reward.code.verdict import judge_program
from vcore_verl.config.recipe import load
from vcore_verl.data.code import evalplus, judging
from vcore_verl.data.code.problem import CodeProblem
from vcore_verl.data.published import SAMPLES, mirror_folder, open_published


@dataclass(frozen=True)
class Judged:
    problems: dict[str, CodeProblem]
    jail: Jail

    def status(self, name: str, program: str) -> str:
        problem = self.problems[f"evalplus-{name}"]
        return judge_program(program, problem.reference("0" * 64), problem.tests, self.jail).status


@pytest.fixture(scope="module")
def judged():
    recipe = load("qwen3_0_6b", ["scale=smoke", "hardware.device=cpu", "data.rl=builtin:puzzles"])
    values, passes = judging.values(recipe), judging.passes(recipe)
    problems = [
        read_row(row, values, passes)
        for published, columns, read_row in (
            (evalplus.HUMANEVAL, evalplus.HUMANEVAL_COLUMNS, evalplus.humaneval_problem),
            (evalplus.MBPP, evalplus.MBPP_COLUMNS, evalplus.mbpp_problem),
        )
        for row in open_published(published, columns, mirror_folder(SAMPLES)).rows
    ]
    jail = Jail()
    yield Judged({problem.problem_id: problem for problem in problems}, jail)
    jail.close()


def test_every_row_passes_its_own_tests_in_the_jail(judged):
    assert [problem.unjudged for problem in judged.problems.values()] == [""] * 8
    assert [judged.status(name[9:], problem.solutions[0]) for name, problem in judged.problems.items()] == [
        "correct"
    ] * 8


def test_expected_values_are_in_the_notation(judged):
    outputs = [test.output for test in judged.problems["evalplus-Mbpp/901"].tests]
    assert outputs == ['{"set": [2]}', '{"set": []}', '{"set": ["a"]}', '{"set": []}']
    assert judged.problems["evalplus-HumanEval/903"].tests[3].output == '{"tuple": [null, "a"]}'


@pytest.mark.parametrize(
    ("name", "program", "status"),
    [
        ("HumanEval/903", "def swap_ends(x):\n    return x[-1:] + x[1:-1] + x[:1] if len(x) > 1 else x", "correct"),
        ("HumanEval/903", "def swap_ends(x):\n    return list(x[-1:] + x[1:-1] + x[:1] if x[1:] else x)", "wrong"),
        ("HumanEval/903", "def swap_ends(x):\n    return x", "wrong"),
        ("HumanEval/901", "def mean_gap(m):\n    return {} + 1e-7", "correct"),
        ("HumanEval/901", "def mean_gap(m):\n    return {} + 1e-5", "wrong"),
        ("Mbpp/901", "def common_stars(a, b):\n    return {x for x in a if x in b}", "correct"),
        ("Mbpp/901", "def common_stars(a, b):\n    return [x for x in a if x in b]", "wrong"),
        ("Mbpp/902", "def shares(w):\n    return tuple(x / sum(w) + 1e-7 for x in w)", "correct"),
        ("Mbpp/902", "def shares(w):\n    return [x / sum(w) for x in w]", "wrong"),
        ("Mbpp/903", "def letter_places(w):\n    d = defaultdict(list)\n    for i, c in enumerate(w): d[c].append(i)\n"
         "    return d", "correct"),
        ("Mbpp/903", "def letter_places(w):\n    return {c: (i,) for i, c in enumerate(w)}", "wrong"),
        ("Mbpp/903", "class Any(dict):\n    __eq__ = lambda *_: True\ndef letter_places(w):\n    return Any()",
         "runtime_error"),
    ],
)  # fmt: skip
def test_verdicts_are_those_of_evalplus(judged, name, program, status):
    gaps = "(sum(abs(y - x) for x, y in zip(m, m[1:])) / (len(m) - 1) if len(m) > 1 else 0.0)"
    assert judged.status(name, program.replace("{}", gaps) if "mean_gap" in program else program) == status


def test_a_function_that_does_not_return_has_no_value():
    recipe = load("qwen3_0_6b", ["scale=smoke", "hardware.device=cpu", "data.rl=builtin:puzzles"])
    program = "def f(x):\n    return {1: (x,), 2: frozenset(), 3: exit}[x] if x < 4 else 1 / 0"
    assert judging.values(recipe)(program, "f", ["1", "2", "3", "4"]) == ['{"tuple": [1]}', None, None, None]
