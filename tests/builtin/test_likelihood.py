"""Probabilities of laboratory traces against the frequencies with which they are drawn."""

import math
from collections import Counter
from random import Random

import pytest

from vcore_verl.builtin.laboratory import FAMILIAR, IN_DOMAIN, NOISY, Problem, problems, solve
from vcore_verl.builtin.likelihood import log_probs

SHORT = Problem(5, (("#", 3),))  # 5 # 3 = 2


def test_by_hand():
    # leak .3 | no filler .7 | right operand or a false start that is right | careful .7 | no mistake .75 | no ok .7
    found = log_probs("5 # 3 ?", "guess 2 5 # 3 : 5 + 5 = 10 + 3 = 2 \\boxed{ 2 }")
    expected = {0: 0.3, 2: 0.7, 4: 0.92 + 0.08 / 11, 5: 0.92 / (0.92 + 0.08 / 11) * 0.7, 14: 0.75, 15: 0.7}
    assert found == pytest.approx([math.log(expected.get(i, 1.0)) for i in range(19)])
    # no leak, a filler of eight | not another | false start | hasty | slip: one more, or one of ten | ok
    found = log_probs("5 # 3 ?", "hmm 5 # 9 no 5 # 3 = 3 no 5 # 3 = 2 ok \\boxed{ 2 }")
    expected = {0: 0.7 * 0.3 / 8, 1: 0.7, 3: 0.08 / 11, 8: 0.3, 9: 0.25 * 0.73, 16: 0.3}
    assert found == pytest.approx([math.log(expected.get(i, 1.0)) for i in range(21)])


def test_frequencies_are_the_probabilities():
    rng, draws = Random(0), 8000
    drawn = Counter(solve(SHORT, NOISY, rng).text for _ in range(draws))
    for text, count in drawn.most_common(15):
        p = math.exp(sum(log_probs(SHORT.question, text)))
        assert abs(count - draws * p) < 5 * math.sqrt(draws * p * (1 - p)), text
    # What was drawn at least once holds nearly all of the mass, and no more than all.
    assert 0.9 < sum(math.exp(sum(log_probs(SHORT.question, text))) for text in drawn) < 1


def test_every_trace_has_one_number_per_token():
    rng = Random(1)
    stream = problems({IN_DOMAIN: 1.0}, "sft", rng)
    for problem in (next(stream) for _ in range(200)):
        text = FAMILIAR.solve(problem, rng).text
        found = log_probs(problem.question, text)
        assert len(found) == len(text.split()) + 1
        assert max(found) <= 0


@pytest.mark.parametrize(
    "text", ["5 # 4 = 2 \\boxed{ 2 }", "5 # 3 = 2 \\boxed{ 3 }", "5 # 3 = 2", "5 # 3 = 2 \\boxed{ 2 } ok"]
)
def test_what_the_mixture_does_not_write_is_refused(text):
    with pytest.raises(ValueError, match="trace"):
        log_probs("5 # 3 ?", text)
