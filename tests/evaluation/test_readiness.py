import math

import numpy as np
import pytest
from scipy import stats

from vcore_verl.evaluation.readiness import Pool, figures, gradient_signal, rank_correlation


def pool(correct, **more) -> Pool:
    correct_PS = np.array(correct, dtype=float)
    given = {"num_tokens_PS": 4.0, "nll_PS": 2.0, "logit_norm_PS": 1.5, "cluster_PS": 0} | more
    filled = {name: np.broadcast_to(np.array(value), correct_PS.shape) for name, value in given.items()}
    return Pool(correct_PS=correct_PS, **filled)


def test_figures_of_four_prompts():
    found = figures(pool([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]))
    values = {name: item.mean for name, item in found.estimates.items()}
    signal = 1.5 * (math.sqrt(0.25 * 0.75) + 0.5) / 4
    expected = {"pass@1": 7 / 16, "pass@4": 0.75, "mixed": 0.5, "token entropy": 0.5, "gradient signal": signal}
    assert {name: values[name] for name in expected} == pytest.approx(expected)
    assert found.rates == {"0": 1, "to 1/4": 1, "to 1/2": 1, "to 3/4": 0, "below 1": 0, "1": 1}
    assert 0 <= found.estimates["mixed"].low < 0.5 < found.estimates["mixed"].high <= 1


def test_every_prompt_is_in_one_group_of_rates():
    correct = [[1] * right + [0] * (16 - right) for right in range(17)]
    assert list(figures(pool(correct)).rates.values()) == [1, 4, 4, 4, 3, 1]


def test_token_entropy_weighs_tokens_not_responses():
    found = figures(pool([[0, 1], [1, 0]], num_tokens_PS=[[1, 9], [5, 5]], nll_PS=[[1.0, 0], [0, 0]]))
    assert found.estimates["token entropy"].mean == pytest.approx(1 / 20)


def test_a_prompt_that_is_always_or_never_solved_gives_no_signal():
    assert gradient_signal([0, 1, 0.5, 0.125], [3, 3, 3, 2]) == pytest.approx([0, 0, 1.5, 2 * math.sqrt(7 / 64)])


def test_the_rank_correlation_is_spearmans():
    values, outcomes = [3.0, 1, 2, 5, 4, 4], [0.3, 0.2, 0.25, 0.9, 0.1, 0.5]
    found = rank_correlation(values, outcomes)
    assert found.mean == pytest.approx(stats.spearmanr(values, outcomes).statistic)
    assert -1 <= found.low < found.mean < found.high <= 1
    assert rank_correlation(values, outcomes) == found


def test_a_perfect_order_has_correlation_one_in_every_resample():
    found = rank_correlation(range(6), [2.0**i for i in range(6)])
    assert (found.mean, found.low, found.high) == pytest.approx((1, 1, 1))


def test_too_few_runs_or_no_spread_give_no_correlation():
    assert rank_correlation([1, 2, 3, 4], [1, 2, 3, 4]) is None
    assert rank_correlation([1, 1, 1, 1, 1], [1, 2, 3, 4, 5]) is None


def test_the_interval_covers_the_correlation_of_many_runs():
    rng = np.random.default_rng(1)
    rho = 0.6
    true = 6 / math.pi * math.asin(rho / 2)  # Spearman's correlation of a bivariate normal
    covered = 0
    for _ in range(60):
        left, noise = rng.normal(size=(2, 40))
        found = rank_correlation(left, rho * left + math.sqrt(1 - rho**2) * noise)
        covered += found.low <= true <= found.high
    assert covered >= 50  # 57 expected
