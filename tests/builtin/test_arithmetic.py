from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vcore_verl.builtin import arithmetic
from vcore_verl.builtin.arithmetic import HABIT, IN_DOMAIN, LARGER_NUMBERS, LONGER_CHAINS, SUPERVISED
from vcore_verl.builtin.task import SPLITS

CLEAN = arithmetic.Mixture(direct=0.0, hasty=0.0, filler=0.0, false_start=0.0, mistake=0.0)
WRONG = arithmetic.Mixture(direct=0.0, hasty=0.0, filler=0.0, false_start=0.0, mistake=1.0)


def draw(span, split, count, seed=0):
    return list(islice(arithmetic.problems(span, split, Random(seed)), count))


def test_a_clean_worked_trace_reads_as_a_person_would_write_it():
    problem = arithmetic.Problem(12, (7, -5))
    assert problem.question == "12+7-5=?"
    assert arithmetic.solve(problem, CLEAN, Random(0)).text == "<think>12+7=19\n19-5=14\n</think>\\boxed{14}"


def test_a_hasty_trace_does_two_operations_a_line():
    hasty = arithmetic.Mixture(direct=0.0, hasty=1.0, filler=0.0, false_start=0.0, mistake=0.0)
    text = arithmetic.solve(arithmetic.Problem(12, (7, -5, 3)), hasty, Random(0)).text
    assert text == "<think>12+7-5=14\n14+3=17\n</think>\\boxed{17}"


def test_a_mistaken_trace_ends_in_a_wrong_answer_and_says_where_it_went_wrong():
    for problem in draw(IN_DOMAIN, "sft", 50):
        trace = arithmetic.solve(problem, WRONG, Random(0))
        assert f"\\boxed{{{problem.answer}}}" not in trace.text
        assert [span.kind for span in trace.spans].count("mistake") == 1


def test_the_same_seed_gives_the_same_problems_and_traces():
    first, second = (
        [arithmetic.solve(p, SUPERVISED, Random(3)).text for p in draw(IN_DOMAIN, "sft", 20, seed=7)] for _ in range(2)
    )
    assert first == second


def test_supervised_traces_hold_every_kind_of_text():
    rng = Random(0)
    kinds = {span.kind for p in draw(IN_DOMAIN, "sft", 200) for span in arithmetic.solve(p, SUPERVISED, rng).spans}
    assert kinds == {"markup", "step", "filler", "false_start", "mistake", "answer"}


def test_every_bucket_belongs_to_exactly_one_split():
    assert sorted(bucket for buckets in SPLITS.values() for bucket in buckets) == list(range(100))


@pytest.mark.parametrize("span", [IN_DOMAIN, LONGER_CHAINS, LARGER_NUMBERS])
def test_splits_share_no_problem(span):
    questions = {split: {p.question for p in draw(span, split, 300)} for split in SPLITS}
    assert all(len(asked) == 300 for asked in questions.values())
    assert len(set.union(*questions.values())) == 300 * len(SPLITS)


@given(st.integers(0, 2**32), st.sampled_from([HABIT, SUPERVISED]), st.sampled_from([IN_DOMAIN, LONGER_CHAINS]))
def test_spans_cover_a_trace_without_gap_or_overlap(seed, mixture, span):
    rng = Random(seed)
    problem = next(arithmetic.problems(span, "sft", rng))
    trace = arithmetic.solve(problem, mixture, rng)
    edges = [0] + [part.end for part in trace.spans]
    assert edges[:-1] == [part.start for part in trace.spans]
    assert edges[-1] == len(trace.text)


@given(st.integers(0, 2**32), st.sampled_from([IN_DOMAIN, LONGER_CHAINS, LARGER_NUMBERS]))
def test_partial_sums_stay_within_two_digits(seed, span):
    problem = next(arithmetic.problems(span, "test", Random(seed)))
    total = problem.first
    for term in problem.terms:
        total += term
        assert 0 <= total < 100
