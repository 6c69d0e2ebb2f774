"""What evaluation scores are worth: intervals, tests, pass@k. Needs numpy and scipy only.

Shape suffixes: P prompts, S samples of one prompt. Scores are 0/1 or means of them.

The unit of sampling is the prompt: responses to one prompt are not independent, so every interval here is taken over
per-prompt means, never over responses ("Adding Error Bars to Evals", arXiv 2411.00640). Such an interval answers "would
this hold on new prompts of this kind, for these very checkpoints"; what another training run would give is the seeds'
spread.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

CONFIDENCE = 0.95
BOOTSTRAP_RESAMPLES = 2000
_BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; `p` is two-sided against 0 where that is a question, else None."""

    mean: float
    low: float
    high: float
    p: float | None = None

    def to_json(self) -> dict[str, object]:
        return {"mean": self.mean, "ci95": [self.low, self.high], "p": self.p}


def mean_interval(values_P: ArrayLike) -> Estimate:
    """Mean of per-prompt values with a t interval over prompts. Raises ValueError for fewer than two prompts."""
    return _t_interval(_checked(values_P), with_p=False)


def paired_difference(before_P: ArrayLike, after_P: ArrayLike) -> Estimate:
    """Mean of after - before with a paired t interval and test; both in the same order of prompts.

    Raises ValueError for fewer than two prompts or unequal numbers of them.
    """
    before, after = _checked(before_P), _checked(after_P)
    if before.shape != after.shape:
        raise ValueError(f"paired values must be of the same prompts, got {len(before)} and {len(after)}")
    return _t_interval(after - before, with_p=True)


def _t_interval(values_P: NDArray[np.float64], with_p: bool) -> Estimate:
    mean = float(values_P.mean())
    if np.ptp(values_P) == 0:  # no spread: scipy's t statistic is 0/0 or x/0
        return Estimate(mean, mean, mean, (1.0 if mean == 0 else 0.0) if with_p else None)
    test = stats.ttest_1samp(values_P, 0.0)
    low, high = test.confidence_interval(CONFIDENCE)
    return Estimate(mean, float(low), float(high), float(test.pvalue) if with_p else None)


def _checked(values_P: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(values_P, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"an interval needs values of at least two prompts, got shape {values.shape}")
    return values


def pass_at_k(num_correct_P: ArrayLike, num_samples: int, k: int) -> NDArray[np.float64]:
    """Unbiased pass@k of each prompt: 1 - C(n-c, k) / C(n, k) (Chen et al., arXiv 2107.03374, equation 1).

    Not verl's `best@k`, which draws the k responses with replacement and is biased downwards.
    """
    if not 1 <= k <= num_samples:
        raise ValueError(f"pass@k needs 1 <= k <= number of samples, got k={k} of {num_samples}")
    num_wrong_P = num_samples - np.asarray(num_correct_P)
    return 1.0 - special.comb(num_wrong_P, k) / special.comb(num_samples, k)


def bootstrap_mean(values_P: ArrayLike) -> Estimate:
    """Mean of per-prompt values, such as pass@k, with a percentile bootstrap interval over prompts."""
    values_P = _checked(values_P)
    mean = float(values_P.mean())
    if np.ptp(values_P) == 0:
        return Estimate(mean, mean, mean)
    interval = stats.bootstrap(
        (values_P,),
        np.mean,
        confidence_level=CONFIDENCE,
        n_resamples=BOOTSTRAP_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(_BOOTSTRAP_SEED),
    ).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high))


def powers_of_two(num_samples: int) -> list[int]:
    """The k worth reporting: 1, 2, 4, ... and the number of samples itself."""
    return sorted({2**exponent for exponent in range(num_samples.bit_length())} | {num_samples})


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979): controls the family-wise error under any dependence of the tests."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = largest
    return adjusted


def minimum_detectable_effect(before_P: ArrayLike, after_P: ArrayLike, power: float = 0.8) -> float:
    """The true difference that the paired test finds significant (two-sided 5 %) with probability `power`.

    From the standard error seen in these very differences: (t_{0.975} + t_{power}) * se, with P - 1 degrees of freedom.
    """
    differences = _checked(after_P) - _checked(before_P)
    freedom = len(differences) - 1
    standard_error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) + stats.t.ppf(power, freedom)) * standard_error


def seed_difference(before_by_seed: Sequence[float], after_by_seed: Sequence[float]) -> Estimate | None:
    """Mean of after - before over training seeds, with Welch's t interval; None where either has one seed.

    Seeds are not paired: seed 1 of one method has nothing in common with seed 1 of another.
    """
    if min(len(before_by_seed), len(after_by_seed)) < 2:
        return None
    mean = float(np.mean(after_by_seed) - np.mean(before_by_seed))
    if np.ptp(before_by_seed) == np.ptp(after_by_seed) == 0:
        return Estimate(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    test = stats.ttest_ind(after_by_seed, before_by_seed, equal_var=False)
    low, high = test.confidence_interval(CONFIDENCE)
    return Estimate(mean, float(low), float(high), float(test.pvalue))


def seed_interval(by_seed: Sequence[float]) -> Estimate | None:
    """Mean of a number over training seeds, with a t interval and test against 0; None for one seed."""
    return None if len(by_seed) < 2 else _t_interval(np.asarray(by_seed, np.float64), with_p=True)


def standard_deviation(by_seed: Sequence[float]) -> float | None:
    """Of a number over training seeds; None for one seed: one training run says nothing about the next."""
    return float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else None
