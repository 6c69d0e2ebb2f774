import re
from random import Random

import pytest

from reward import compute_score
from reward.code.reference import Reference
from reward.code.store import get
from vcore_verl.builtin.puzzles import CHANGE, KEEP, REDUCE, SUPERVISED, Mixture, Problem, Puzzles, solve
from vcore_verl.builtin.task import split_of

CLEAN = Mixture(wrong=0.0, unread=0.0, filler=0.0, false_start=0.0)
WRONG = Mixture(wrong=1.0, unread=0.0, filler=0.0, false_start=0.0)
UNREAD = Mixture(wrong=1.0, unread=1.0, filler=0.0, false_start=0.0)
ABOVE_3, SQUARE, LARGEST = KEEP[14], CHANGE[0], REDUCE[2]
PROBLEM = Problem((ABOVE_3,), SQUARE, LARGEST)


def draw(name="in_domain", count=100):
    return Puzzles().draw(name, count, Random(0))


def test_a_puzzle_is_a_sentence_and_a_clean_trace_its_program():
    assert PROBLEM.question == "keep above 3, square, largest"
    assert solve(PROBLEM, CLEAN, Random(0)).text == (
        "<think>if x>3. then x*x. last max(v,default=0). </think>\n"
        "```python\nv=[x*x for x in map(int,input().split()) if x>3]\nprint(max(v,default=0))\n```"
    )


@pytest.mark.parametrize(("line", "expected"), [([4, -9, 3], 16), ([3, 2], 0), ([5, 7, -8], 49)])
def test_the_expected_output_is_computed_without_a_program(line, expected):
    assert PROBLEM.solution(line) == expected


def test_every_puzzle_is_tested_where_it_keeps_nothing_and_at_its_bounds():
    for problem in draw("out_of_domain"):
        first, *_, last = ([int(word) for word in test.input.split()] for test in problem.tests())
        bounds = {int(word) for word in re.findall(r"-?\d+", problem.question.partition(",")[0])}
        assert bounds <= set(first)
        assert not [x for x in last if all(part.function(x) for part in problem.keep)]


def test_right_programs_are_correct_and_those_that_read_no_integers_are_not(tmp_path):
    for problem in draw(count=12):
        truth = problem.ground_truth(tmp_path)
        assert Reference.loads(truth).num_tests == len(get(tmp_path, Reference.loads(truth).tests)) == 4
        right, unread = (solve(problem, mixture, Random(1)).text for mixture in (CLEAN, UNREAD))
        assert compute_score("code/puzzles", right, truth, tests=str(tmp_path))["status"] == "correct"
        # Counting needs no integers, unless the condition does.
        assert compute_score("code/puzzles", unread, truth, tests=str(tmp_path))["status"] != "correct"


def test_nearly_every_classic_mistake_is_found(tmp_path):
    statuses = [
        compute_score(
            "code/puzzles", solve(problem, WRONG, Random(1)).text, problem.ground_truth(tmp_path), tests=str(tmp_path)
        )["status"]
        for problem in draw(count=30)
    ]
    assert statuses.count("wrong") >= 24 and set(statuses) <= {"wrong", "correct"}


def test_splits_share_no_puzzle_and_draws_are_distinct_and_reproducible():
    drawn = {name: [problem.question for problem in draw(name)] for name in ("sft", "rl", "in_domain", "out_of_domain")}
    assert all(len(set(questions)) == 100 for questions in drawn.values())
    assert {split_of(question) for question in drawn["rl"]} == {"rl"}
    assert {split_of(question) for question in drawn["in_domain"] + drawn["out_of_domain"]} == {"test"}
    assert drawn["rl"] == [problem.question for problem in draw("rl")]


def test_more_puzzles_than_the_split_has_are_refused():
    with pytest.raises(ValueError, match=r"the puzzles have \d+ problems for 'rl', 1000 were asked for"):
        draw("rl", 1_000)


def test_supervised_traces_hold_every_kind_of_text():
    rng = Random(0)
    kinds = {span.kind for problem in draw("sft", 300) for span in solve(problem, SUPERVISED, rng).spans}
    assert kinds == {"markup", "step", "filler", "false_start", "mistake", "answer"}
