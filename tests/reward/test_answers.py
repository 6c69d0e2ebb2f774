from itertools import permutations

import pytest

from reward.answers import clusters, mean_log_frequency, semantic_entropy, sizes
from reward.mathematics.grading import same_answer


@pytest.mark.parametrize(
    ("counts", "shannon", "equation_5"),
    [
        ([8], 0, 0),
        ([7, 1], 0.3767701613, 1.1064864672),
        ([6, 2], 0.5623351446, 0.8369882168),
        ([4, 4], 0.6931471806, 0.6931471806),
        ([2, 2, 2, 2], 1.3862943611, 1.3862943611),
        ([1] * 8, 2.0794415417, 2.0794415417),
    ],
)
def test_entropy_of_the_answers(counts, shannon, equation_5):
    assert semantic_entropy(counts) == pytest.approx(shannon, abs=1e-9)
    assert mean_log_frequency(counts) == pytest.approx(equation_5, abs=1e-9)


def grouped(answers: list[str], correct: list[bool]) -> list[int]:
    return sorted(sizes(clusters(answers, correct, same_answer)), reverse=True)


@pytest.mark.parametrize(
    ("answers", "correct", "expected"),
    [
        (["7", "7", "8"], [True, True, False], [2, 1]),
        (["1/2", "0.5", r"\frac{1}{2}"], [False] * 3, [3]),
        # Algebra is the reward's alone: its verdict unites the correct, and wrong answers that need it stay apart.
        ([r"\sqrt{8}", r"2\sqrt{2}"], [True, True], [2]),
        ([r"\sqrt{8}", r"2\sqrt{2}"], [False, False], [1, 1]),
        # The reward refuses 3+4 where it asks for a number: it is not the correct answer.
        (["7", "3+4"], [True, False], [1, 1]),
        # A response without an answer agrees with no other.
        (["", "", "7"], [False, False, True], [1, 1, 1]),
        (["{{", "{{", "(["], [False] * 3, [2, 1]),
    ],
)
def test_equal_answers_are_those_of_the_reward(answers, correct, expected):
    assert grouped(answers, correct) == expected


def test_clusters_do_not_depend_on_the_order_of_the_responses():
    """50% equals 50 and 0.5, which differ."""
    responses = [("50%", False), ("50", False), ("0.5", False), ("9", True)]
    assert {tuple(grouped(*map(list, zip(*order, strict=True)))) for order in permutations(responses)} == {(3, 1)}
