"""Statistics of evaluation scores: intervals, tests, pass@k. Needs numpy and scipy only.

Shape suffixes: P prompts, S samples of one prompt. Scores are 0/1 or means of them, so means lie in [0, 1] and
differences in [-1, 1]; intervals stay within these ranges.

The unit of sampling is the prompt: responses to one prompt are not independent, so every interval over prompts is taken
over per-prompt means, never over responses ("Adding Error Bars to Evals", arXiv 2411.00640). Such an interval says how
these checkpoints would do on new prompts of the same kind. Variation across training runs is covered by intervals over
runs; only they support claims about methods.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

CONFIDENCE = 0.95
SIGNIFICANCE_LEVEL = 0.05
_NO_SPREAD = 1e-12  # values closer than this differ only by rounding
_PRIOR_PROMPTS = 2  # see `mean_interval`


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; `p` is the two-sided p value against 0, None if 0 is not tested."""

    mean: float
    low: float
    high: float
    p: float | None = None

    def to_json(self) -> dict[str, object]:
        return {"mean": self.mean, "ci95": [self.low, self.high], "p": self.p}


@dataclass(frozen=True)
class Student:
    """A mean difference in accuracy, its standard error and degrees of freedom: Student's t interval and test."""

    mean: float
    standard_error: float
    freedom: float

    @property
    def p(self) -> float:
        """Two-sided, against 0."""
        return max(float(2 * stats.t.sf(abs(self.mean) / self.standard_error, self.freedom)), sys.float_info.min)

    def interval(self, confidence: float = CONFIDENCE) -> Estimate:
        """The t interval at `confidence`, clipped to [-1, 1]."""
        half = float(stats.t.ppf((1 + confidence) / 2, self.freedom)) * self.standard_error
        return Estimate(self.mean, max(-1.0, self.mean - half), min(1.0, self.mean + half), self.p)

    def holm_interval(self, p_holm: float) -> Estimate:
        """The interval with Holm's correction: it excludes 0 if and only if the adjusted p, `p_holm`, is below 5 %.

        Its level is 1 - 5 % * p / p_holm, which for a single comparison is 95 % (Serlin, "Confidence intervals and the
        scientific method: a case for Holm on the range", 1993).
        """
        return self.interval(1 - SIGNIFICANCE_LEVEL * self.p / p_holm)


def mean_interval(values_P: ArrayLike) -> Estimate:
    """Mean of per-prompt values in [0, 1], accuracies or pass@k, with Wilson's score interval over prompts.

    It uses the effective number of independent 0/1 outcomes with the variance of the prompts, and Student's t instead
    of the normal quantile (Dean and Pagano, "Evaluating confidence interval methods for binomial proportions in
    clustered surveys", 2015). Near 0 and 1 few prompts show any variance, so the sample variance is averaged with the
    largest possible one, mean (1 - mean). That has the weight of two prompts, the sample variance the weight of those
    not all wrong (or not all right, if fewer): 0 of 24 is [0 %, 15 %]. Raises ValueError for fewer than two prompts.
    """
    values_P = _checked(values_P)
    num_prompts, mean = len(values_P), float(values_P.mean())
    informative = min(np.count_nonzero(values_P > 0), np.count_nonzero(values_P < 1))
    largest = mean * (1 - mean)
    variance = (informative * float(values_P.var(ddof=1)) + _PRIOR_PROMPTS * largest) / (informative + _PRIOR_PROMPTS)
    outcomes = num_prompts * largest / variance if variance > _NO_SPREAD else num_prompts
    return Estimate(mean, *_wilson(mean, outcomes, _quantile(num_prompts)))


def _wilson(share: float, num: float, quantile: float) -> tuple[float, float]:
    """Wilson's score interval (1927) for a share of `num` outcomes."""
    centre = share + quantile**2 / (2 * num)
    half = quantile * math.sqrt(share * (1 - share) / num + (quantile / (2 * num)) ** 2)
    scale = 1 + quantile**2 / num
    # At 0 and 1 one limit is the share itself, which rounding must not exclude: plots refuse negative error bars.
    return min(share, max(0.0, (centre - half) / scale)), max(share, min(1.0, (centre + half) / scale))


def _quantile(num_values: int) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, num_values - 1))


def paired_difference(before_P: ArrayLike, after_P: ArrayLike) -> Estimate:
    """Mean of after - before with a paired t interval and test; both arrays have the same order of prompts.

    If all prompts changed by the same amount, no test is possible and `p` is None; the half-width is then Wilson's
    upper limit, for 0 of P, on the share of prompts that change differently. Raises ValueError for fewer than two
    prompts or unequal numbers of prompts.
    """
    before, after = _checked(before_P), _checked(after_P)
    if before.shape != after.shape:
        raise ValueError(f"paired values must be of the same prompts, got {len(before)} and {len(after)}")
    changes, num_prompts = after - before, len(before)
    mean = float(changes.mean())
    if np.ptp(changes) < _NO_SPREAD:
        _, share = _wilson(0.0, num_prompts, _quantile(num_prompts))
        return Estimate(mean, max(-1.0, mean - share), min(1.0, mean + share))
    standard_error = float(changes.std(ddof=1)) / math.sqrt(num_prompts)
    return Student(mean, standard_error, num_prompts - 1).interval()


def _checked(values_P: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(values_P, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"an interval needs values of at least two prompts, got shape {values.shape}")
    return values


def pass_at_k(num_correct_P: ArrayLike, num_samples: int, k: int) -> NDArray[np.float64]:
    """Unbiased pass@k of each prompt: 1 - C(n-c, k) / C(n, k) (Chen et al., arXiv 2107.03374, equation 1).

    Unlike verl's `best@k`, which draws the k responses with replacement and is biased downwards.
    """
    if not 1 <= k <= num_samples:
        raise ValueError(f"pass@k needs 1 <= k <= number of samples, got k={k} of {num_samples}")
    num_wrong_P = num_samples - np.asarray(num_correct_P)
    return 1.0 - special.comb(num_wrong_P, k) / special.comb(num_samples, k)


def powers_of_two(num_samples: int) -> list[int]:
    """The values of k to report: 1, 2, 4, ... and the number of samples."""
    return sorted({2**exponent for exponent in range(num_samples.bit_length())} | {num_samples})


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979): controls the family-wise error rate under any dependence of the tests."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = largest
    return adjusted


def minimum_detectable_effect(before_P: ArrayLike, after_P: ArrayLike, power: float = 0.8) -> float | None:
    """The true difference that the paired test finds significant (two-sided 5 %) with probability `power`.

    From the standard error of the observed differences: (t_{0.975} + t_{power}) * se, with P - 1 degrees of freedom.
    None if all prompts changed by the same amount.
    """
    differences = _checked(after_P) - _checked(before_P)
    if np.ptp(differences) < _NO_SPREAD:
        return None
    freedom = len(differences) - 1
    standard_error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) + stats.t.ppf(power, freedom)) * standard_error


def run_difference(before_by_run: Sequence[float], after_by_run: Sequence[float]) -> Student | None:
    """Mean of after - before over training runs (Welch); None if a side has one run, or there is no spread over runs.

    Runs are not paired: seed 1 of one method has nothing in common with seed 1 of another.
    """
    sizes = len(before_by_run), len(after_by_run)
    if min(sizes) < 2:
        return None
    before, after = (
        float(np.var(values, ddof=1)) / size for values, size in zip((before_by_run, after_by_run), sizes, strict=True)
    )
    if before + after < _NO_SPREAD**2:
        return None
    freedom = (before + after) ** 2 / (before**2 / (sizes[0] - 1) + after**2 / (sizes[1] - 1))
    return Student(float(np.mean(after_by_run) - np.mean(before_by_run)), math.sqrt(before + after), freedom)


def run_mean(by_run: Sequence[float]) -> Student | None:
    """Mean of a change over training runs; None for one run, or if there is no spread over runs."""
    if len(by_run) < 2 or np.ptp(by_run) < _NO_SPREAD:
        return None
    return Student(float(np.mean(by_run)), float(np.std(by_run, ddof=1)) / math.sqrt(len(by_run)), len(by_run) - 1)


def standard_deviation(by_run: Sequence[float]) -> float | None:
    """Standard deviation over training runs; None for a single run."""
    return float(np.std(by_run, ddof=1)) if len(by_run) > 1 else None
