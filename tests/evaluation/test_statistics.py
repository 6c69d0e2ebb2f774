from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vcore_verl.evaluation.statistics import (
    Estimate,
    bootstrap_mean,
    holm,
    mean_interval,
    minimum_detectable_effect,
    paired_difference,
    pass_at_k,
    powers_of_two,
    seed_difference,
    seed_interval,
    standard_deviation,
)

COUNTS = st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))


@given(COUNTS)
def test_pass_at_k_equals_enumeration_of_all_draws(counts):
    num_samples, num_correct, k = counts
    responses = [True] * num_correct + [False] * (num_samples - num_correct)
    draws = [any(draw) for draw in combinations(responses, k)]
    assert pass_at_k([num_correct], num_samples, k)[0] == pytest.approx(np.mean(draws))


def test_pass_at_k_is_not_the_draw_with_replacement():
    assert pass_at_k([1], 32, 32)[0] == 1.0  # with replacement: 0.638
    assert pass_at_k([4], 32, 8)[0] == pytest.approx(0.7045, abs=1e-4)  # with replacement: 0.656


def test_pass_at_k_refuses_more_draws_than_samples():
    with pytest.raises(ValueError, match="k=5 of 4"):
        pass_at_k([1], 4, 5)


def test_mean_interval_golden():
    estimate = mean_interval([0.0, 0.25, 0.5, 1.0])
    assert (estimate.mean, estimate.p) == (0.4375, None)
    assert (estimate.low, estimate.high) == (pytest.approx(-0.24188, abs=1e-5), pytest.approx(1.11688, abs=1e-5))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=40))
def test_paired_difference_is_the_paired_t_test(pairs):
    before, after = np.array(pairs).T
    if np.ptp(after - before) < 1e-6:
        return
    expected = stats.ttest_rel(after, before)
    estimate = paired_difference(before, after)
    assert estimate.p == pytest.approx(expected.pvalue)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_equal_values_have_no_spread_and_no_nan():
    assert paired_difference([1.0, 1.0], [1.0, 1.0]) == Estimate(0.0, 0.0, 0.0, 1.0)
    assert mean_interval([1.0, 1.0]) == Estimate(1.0, 1.0, 1.0)
    assert bootstrap_mean([1.0, 1.0]) == Estimate(1.0, 1.0, 1.0)


def test_one_prompt_and_unequal_prompts_are_refused():
    with pytest.raises(ValueError, match="at least two prompts"):
        mean_interval([1.0])
    with pytest.raises(ValueError, match="same prompts"):
        paired_difference([0.0, 1.0], [0.0, 1.0, 1.0])


def scores(rng, num_prompts, num_samples, gain):
    """Per-prompt means before and after: difficulty Beta(0.6, 0.6), chances moved by `gain` on average."""
    before = rng.beta(0.6, 0.6, num_prompts)
    after = np.clip(before + rng.normal(gain, 0.05, num_prompts), 0, 1)
    draw = [rng.binomial(num_samples, chance) / num_samples for chance in (before, after)]
    return draw, float(np.mean(after - before))


@pytest.mark.parametrize("num_prompts", [30, 500])
def test_paired_t_covers_the_population_difference(num_prompts):
    rng = np.random.default_rng(0)
    population = scores(np.random.default_rng(1), 1_000_000, 1, 0.02)[1]
    estimates = [paired_difference(*scores(rng, num_prompts, 8, 0.02)[0]) for _ in range(1000)]
    covered = np.mean([estimate.low <= population <= estimate.high for estimate in estimates])
    assert 0.93 <= covered <= 0.97


def test_bootstrap_covers_pass_at_k():
    rng = np.random.default_rng(0)
    truth = np.mean(1 - (1 - rng.beta(0.6, 0.6, 1_000_000)) ** 4)
    estimates = [bootstrap_mean(pass_at_k(rng.binomial(8, rng.beta(0.6, 0.6, 200)), 8, 4)) for _ in range(300)]
    covered = np.mean([estimate.low <= truth <= estimate.high for estimate in estimates])
    assert 0.91 <= covered <= 0.98


def test_holm_golden():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_no_correction_and_bonferroni(p_values):
    for raw, adjusted in zip(p_values, holm(p_values), strict=True):
        assert raw <= adjusted <= min(1.0, raw * len(p_values))


def test_holm_keeps_the_family_error_where_nothing_differs():
    rng = np.random.default_rng(0)
    reference = rng.normal(0, 1, (1000, 1, 40))
    arms = rng.normal(0, 1, (1000, 4, 40))
    p_values = stats.ttest_rel(arms, reference, axis=-1).pvalue
    false_alarms = np.mean([min(holm(list(family))) < 0.05 for family in p_values])
    assert 0.02 <= false_alarms <= 0.065


def test_minimum_detectable_effect_is_found_four_times_in_five():
    rng = np.random.default_rng(0)
    spread = 0.3
    effect = minimum_detectable_effect(np.zeros(2000), rng.normal(0, spread, 2000)) * np.sqrt(2000 / 100)
    found = [stats.ttest_1samp(rng.normal(effect, spread, 100), 0).pvalue < 0.05 for _ in range(1000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_powers_of_two_end_with_the_number_of_samples():
    assert powers_of_two(4) == [1, 2, 4]
    assert powers_of_two(6) == [1, 2, 4, 6]


def test_one_seed_has_no_spread():
    assert standard_deviation([0.3]) is None
    assert standard_deviation([0.1, 0.2, 0.3]) == pytest.approx(0.1)


def test_one_seed_has_no_interval():
    assert seed_interval([0.3]) is None
    assert seed_difference([0.3], [0.4, 0.5]) is None


def test_intervals_over_three_seeds_cover_the_difference_of_the_methods():
    rng = np.random.default_rng(0)
    runs = [(rng.normal(0.5, 0.02, 3), rng.normal(0.6, 0.04, 3)) for _ in range(2000)]
    differences = [seed_difference(first, second) for first, second in runs]
    assert 0.93 <= np.mean([found.low <= 0.1 <= found.high for found in differences]) <= 0.985
    means = [seed_interval(second) for _, second in runs]
    assert 0.93 <= np.mean([found.low <= 0.6 <= found.high for found in means]) <= 0.97
