from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vcore_verl.evaluation.statistics import (
    Estimate,
    Student,
    holm,
    mean_interval,
    minimum_detectable_effect,
    paired_difference,
    pass_at_k,
    powers_of_two,
    run_difference,
    run_mean,
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
    assert (estimate.low, estimate.high) == (pytest.approx(0.0684, abs=1e-4), pytest.approx(0.8918, abs=1e-4))


@pytest.mark.parametrize(("correct", "high"), [(0, 0.1513), (24, 1.0)])
def test_all_wrong_and_all_right_leave_room_for_other_prompts(correct, high):
    estimate = mean_interval([1.0] * correct + [0.0] * (24 - correct))
    assert (estimate.low == 0.0) is (correct == 0) and estimate.high == pytest.approx(high, abs=1e-4)
    exact = stats.binomtest(correct, 24).proportion_ci(method="exact")  # Clopper-Pearson
    assert (estimate.low, estimate.high) == pytest.approx((exact.low, exact.high), abs=0.02)


def test_over_many_prompts_of_one_sample_the_interval_is_wilsons():
    values = [1.0] * 700 + [0.0] * 300
    wilson = stats.binomtest(700, 1000).proportion_ci(method="wilson")
    estimate = mean_interval(values)
    assert (estimate.low, estimate.high) == pytest.approx((wilson.low, wilson.high), abs=2e-4)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_no_accuracy_is_outside_of_what_is_possible(values):
    estimate = mean_interval(values)
    assert 0 <= estimate.low <= estimate.mean + 1e-12 and estimate.mean - 1e-12 <= estimate.high <= 1
    assert estimate.low < estimate.high


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=40))
def test_paired_difference_is_the_paired_t_test(pairs):
    before, after = np.array(pairs).T
    if np.ptp(after - before) < 1e-6:
        return
    expected = stats.ttest_rel(after, before)
    estimate = paired_difference(before, after)
    assert estimate.p == pytest.approx(expected.pvalue)
    assert (estimate.low, estimate.high) == pytest.approx(np.clip(expected.confidence_interval(0.95), -1, 1))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_an_interval_holds_its_mean_also_where_all_answers_are_alike(share):
    for num_prompts in range(2, 600):
        found = mean_interval(np.full(num_prompts, share))
        assert found.low <= found.mean <= found.high


def test_where_all_prompts_changed_alike_there_is_an_interval_and_no_test():
    unchanged = paired_difference([0.0] * 24, [0.0] * 24)
    assert unchanged == Estimate(0.0, pytest.approx(-0.1513, abs=1e-4), pytest.approx(0.1513, abs=1e-4), None)
    solved = paired_difference([0.0, 0.0], [1.0, 1.0])
    assert (solved.mean, solved.high, solved.p) == (1.0, 1.0, None) and solved.low < 0.02
    assert minimum_detectable_effect([0.0, 1.0], [0.0, 1.0]) is None


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
    estimates = [paired_difference(*scores(rng, num_prompts, 8, 0.02)[0]) for _ in range(2000)]
    assert 0.93 <= covered(estimates, population) <= 0.97


def covered(estimates, truth):
    return np.mean([estimate.low <= truth <= estimate.high for estimate in estimates])


@pytest.mark.parametrize("num_samples", [1, 4])
@pytest.mark.parametrize(
    ("num_prompts", "difficulty"), [(100, (0.6, 0.6)), (300, (0.2, 0.8)), (300, (0.1, 3)), (500, (3, 0.1))]
)
def test_the_interval_over_prompts_covers_the_accuracy_also_close_to_0_and_1(num_prompts, difficulty, num_samples):
    rng = np.random.default_rng(0)
    values = rng.binomial(num_samples, rng.beta(*difficulty, (2000, num_prompts))) / num_samples
    assert 0.93 <= covered(map(mean_interval, values), difficulty[0] / sum(difficulty)) <= 0.97


@pytest.mark.parametrize("difficulty", [(0.1, 3), (0.05, 2), (3, 0.1)])
def test_thirty_hard_prompts_are_covered_where_a_t_interval_fails(difficulty):
    rng = np.random.default_rng(0)
    values = rng.binomial(4, rng.beta(*difficulty, (2000, 30))) / 4
    truth = difficulty[0] / sum(difficulty)
    assert covered(map(mean_interval, values), truth) >= 0.95  # wider than needed: few prompts say how much they vary
    low, high = stats.t.interval(0.95, 29, values.mean(axis=1), np.maximum(stats.sem(values, axis=1), 1e-9))
    assert np.mean((low <= truth) & (truth <= high)) < 0.9


def test_the_interval_covers_pass_at_k():
    rng = np.random.default_rng(0)
    truth = np.mean(1 - (1 - rng.beta(0.6, 0.6, 1_000_000)) ** 4)
    correct = rng.binomial(8, rng.beta(0.6, 0.6, (2000, 200)))
    assert 0.93 <= covered([mean_interval(pass_at_k(counts, 8, 4)) for counts in correct], truth) <= 0.97


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


def test_one_run_has_no_spread_and_no_interval():
    assert standard_deviation([0.3]) is None
    assert standard_deviation([0.1, 0.2, 0.3]) == pytest.approx(0.1)
    assert run_mean([0.3]) is None
    assert run_difference([0.3], [0.4, 0.5]) is None


def test_runs_that_do_not_vary_have_no_interval():
    assert run_mean([0.1, 0.1, 0.1]) is None
    assert run_difference([0.3, 0.3, 0.3], [0.4, 0.4, 0.4]) is None
    assert run_difference([0.3, 0.3, 0.3], [0.4, 0.4, 0.5]) is not None


@given(*[st.lists(st.floats(0, 1), min_size=2, max_size=6)] * 2)
def test_run_differences_are_welchs(before, after):
    if min(np.ptp(before), np.ptp(after)) < 1e-6:
        return
    found, expected = run_difference(before, after), stats.ttest_ind(after, before, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.freedom == pytest.approx(expected.df)
    for confidence in (0.95, 0.99):
        interval, wanted = found.interval(confidence), expected.confidence_interval(confidence)
        assert (interval.low, interval.high) == pytest.approx(np.clip(wanted, -1, 1))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_means_over_runs_are_students(changes):
    if np.ptp(changes) < 1e-6:
        return
    found, expected = run_mean(changes), stats.ttest_1samp(changes, 0.0)
    assert found.p == pytest.approx(expected.pvalue)
    interval = found.interval()
    assert (interval.low, interval.high) == pytest.approx(np.clip(expected.confidence_interval(0.95), -1, 1))


@given(st.floats(-0.5, 0.5), st.floats(0.001, 0.2), st.integers(1, 8))
def test_holms_interval_excludes_zero_exactly_where_the_adjusted_p_is_below_five_percent(mean, error, factor):
    found = Student(mean, error, 3.0)
    p_holm = min(1.0, factor * found.p)
    if abs(p_holm - 0.05) < 1e-9:
        return
    interval = found.holm_interval(p_holm)
    assert (interval.low > 0 or interval.high < 0) == (p_holm < 0.05)
    assert interval.low <= found.interval().low and found.interval().high <= interval.high


@pytest.mark.parametrize("num_runs", [3, 5, 10])
def test_intervals_over_runs_cover_the_difference_of_the_methods(num_runs):
    rng = np.random.default_rng(0)
    runs = [(rng.normal(0.5, 0.03, num_runs), rng.normal(0.6, 0.03, num_runs)) for _ in range(4000)]
    differences = [run_difference(first, second).interval() for first, second in runs]
    assert 0.93 <= covered(differences, 0.1) <= 0.97
    assert 0.93 <= covered([run_mean(second).interval() for _, second in runs], 0.6) <= 0.97


def test_with_unequal_spreads_intervals_over_runs_err_on_the_safe_side():
    rng = np.random.default_rng(0)
    runs = [(rng.normal(0.5, 0.01, 3), rng.normal(0.6, 0.05, 3)) for _ in range(4000)]
    assert 0.93 <= covered([run_difference(*pair).interval() for pair in runs], 0.1) <= 0.985
