from hypothesis import given
from hypothesis import strategies as st

from vcore_verl.data.decontaminate import WORDS, EvaluationProblems, normalised

ASKED = "Two trains leave at noon from towns that are 300 km apart, and the first one goes twice as fast."
EVALUATION = EvaluationProblems([ASKED, "What is $\\frac{1}{2}+1$?"])


@given(st.lists(st.sampled_from(["x", "y", "zz"]), max_size=30), st.integers(0, 7))
def test_thirteen_words_in_a_row_are_found_wherever_they_are_planted(filler, start):
    words = ASKED.rstrip(".").replace(",", "").split()
    planted = " ".join([*filler, *words[start : start + WORDS], *filler])
    assert EVALUATION.overlaps(planted)
    broken = " ".join([*filler, *words[start : start + WORDS - 1], "q", *filler])
    assert not EVALUATION.overlaps(broken)


def test_typesetting_hides_no_problem():
    assert EVALUATION.contains("what is  $ \\dfrac{1}{2} + 1 $")
    assert EVALUATION.contains("What is \\frac{1}{2}+1?")


def test_problems_that_differ_by_a_sign_or_a_digit_are_different():
    assert not EVALUATION.contains("What is $\\frac{1}{2}-1$?")
    assert normalised("Find 12 + 3") != normalised("Find 1 + 23")
