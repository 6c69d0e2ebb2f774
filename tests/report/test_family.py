"""False and true findings of whole comparisons of simulated runs whose truth is known.

Shape suffixes: C comparisons, A arms (the first is the reference), R runs of an arm, P prompts.
"""

import numpy as np
import pytest

from vcore_verl.report.compare import family
from vcore_verl.report.measures import Measure
from vcore_verl.report.numbers import Accuracy

PRIMARY = Measure("in_domain", "rl", "sampled")
SPREAD = 0.03  # of the methods' accuracies over runs


def comparisons(rng, gain_A, num_runs, num_comparisons=1500, num_prompts=20):
    """The primary family of every comparison; `gain_A` is how much better than 50 % each arm's method is."""
    shape = (num_comparisons, len(gain_A), num_runs)
    ability_CAR = 0.5 + np.reshape(gain_A, (1, -1, 1)) + rng.normal(0, SPREAD, shape)
    prompt_CARP = rng.binomial(40, ability_CAR[..., None].clip(0, 1), (*shape, num_prompts)) / 40
    for score_ARP in prompt_CARP:
        accuracies = {
            ("grpo", f"arm{number}"): Accuracy(score_RP.mean(axis=0), tuple(score_RP.mean(axis=1)))
            for number, score_RP in enumerate(score_ARP)
        }
        yield family(PRIMARY, True, accuracies)


@pytest.mark.parametrize("num_runs", [3, 5])
def test_a_whole_comparison_of_equal_methods_has_a_false_finding_in_at_most_five_percent(num_runs):
    found = [
        any(pair.significant for pair in pairs) for pairs in comparisons(np.random.default_rng(0), [0] * 7, num_runs)
    ]
    assert 0.005 < np.mean(found) <= 0.05


def test_beside_methods_that_differ_those_that_do_not_are_found_different_in_at_most_five_percent():
    gains = [0, 0.2, -0.2, 0, 0, 0]
    families = list(comparisons(np.random.default_rng(1), gains, 5))
    false = [any(pair.significant for pair in pairs[2:]) for pairs in families]
    true = [pairs[0].significant for pairs in families]
    assert np.mean(false) <= 0.05
    assert np.mean(true) > 0.9


def test_findings_are_those_whose_interval_over_runs_excludes_zero():
    for pairs in comparisons(np.random.default_rng(2), [0, 0.1, 0.1, 0.15], 3, num_comparisons=200):
        for pair in pairs:
            assert pair.significant == (pair.decisive.low > 0 or pair.decisive.high < 0)


def test_two_runs_are_no_finding_however_far_apart():
    families = comparisons(np.random.default_rng(3), [0, 0.4], 2, num_comparisons=100)
    assert not any(pair.significant for pairs in families for pair in pairs)
