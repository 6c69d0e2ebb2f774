"""What a checkpoint gives RL, from one pool of its answers; and which of these figures predict what RL makes of it.

Shape suffixes: P prompts, S samples of one prompt, N runs, B bootstrap resamples. What each figure means and what is
known of it: docs/readiness.md. Imports neither torch nor vLLM.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from reward.answers import semantic_entropy, sizes
from vcore_verl.evaluation.statistics import CONFIDENCE, Estimate, mean_interval, pass_at_k

MIN_RUNS = 5  # of a rank correlation: even a perfect one over 4 runs has p = 0.083
_RESAMPLES = 2000
_SEED = 0
# Success rate of a prompt -> group: none right, up to a quarter, ..., all right.
RATES = ("0", "to 1/4", "to 1/2", "to 3/4", "below 1", "1")


@dataclass(frozen=True)
class Pool:
    """Answers of one checkpoint: whether each is right, its length in tokens, its negative log-probability (nats,
    summed over its tokens), sqrt(sum_t (1 - p_t)^2) over its tokens, and the number of its cluster of equal answers.
    """

    correct_PS: NDArray[np.float64]
    num_tokens_PS: NDArray[np.float64]
    nll_PS: NDArray[np.float64]
    logit_norm_PS: NDArray[np.float64]
    cluster_PS: NDArray[np.int64]


@dataclass(frozen=True)
class Figures:
    """The figures of a pool, each with its 95 % interval over prompts; `rates` counts prompts by success rate."""

    estimates: dict[str, Estimate]
    rates: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return {"figures": {name: item.to_json() for name, item in self.estimates.items()}, "rates": self.rates}


def figures(pool: Pool) -> Figures:
    """All figures of a pool of at least two prompts with at least two samples each."""
    num_samples = pool.correct_PS.shape[1]
    num_correct_P = pool.correct_PS.sum(axis=1)
    rate_P = num_correct_P / num_samples
    estimates = {
        "pass@1": mean_interval(rate_P),
        f"pass@{num_samples}": mean_interval(pass_at_k(num_correct_P, num_samples, num_samples)),
        "mixed": mean_interval(((rate_P > 0) & (rate_P < 1)).astype(float)),
        "answer entropy": _mean(np.array([semantic_entropy(sizes(row.tolist())) for row in pool.cluster_PS])),
        "token entropy": _ratio(pool.nll_PS.sum(axis=1), pool.num_tokens_PS.sum(axis=1)),
        "gradient signal": _mean(gradient_signal(rate_P, pool.logit_norm_PS.mean(axis=1))),
        "tokens": _mean(pool.num_tokens_PS.mean(axis=1)),
    }
    group_P = np.where(rate_P == 1, 5, np.ceil(4 * rate_P)).astype(int)
    counts = np.bincount(group_P, minlength=len(RATES))
    return Figures(estimates, dict(zip(RATES, map(int, counts), strict=True)))


def gradient_signal(rate_P: ArrayLike, norm_P: ArrayLike) -> NDArray[np.float64]:
    """G sqrt(p (1 - p)) of each prompt, the spread of its contribution to a policy gradient with a group baseline.

    It allocates draws optimally (VIP, arXiv 2602.01601; GVM, arXiv 2505.02391, has another rule, for an EM estimator).

    G is the mean norm of a response's gradient with respect to the logits. Here it is sqrt(sum_t (1 - p_t)^2), from the
    probabilities of the sampled tokens alone: 1 - 2 p + sum_v p_v^2 lies between (1 - p)^2 and twice that, so it is
    right up to a factor of sqrt(2).
    """
    rate_P = np.asarray(rate_P, dtype=np.float64)
    return np.asarray(norm_P, dtype=np.float64) * np.sqrt(rate_P * (1 - rate_P))


def rank_correlation(values_N: ArrayLike, outcomes_N: ArrayLike) -> Estimate | None:
    """Spearman's correlation of a figure with an outcome over runs, with a 95 % bootstrap interval over runs.

    The interval is the percentile interval of resamples of runs, from a fixed seed; resamples in which a side does not
    vary are left out. None for fewer than `MIN_RUNS` runs, or if a side does not vary.
    """
    pairs_2N = np.array([values_N, outcomes_N], dtype=np.float64)
    num_runs = pairs_2N.shape[1]
    if num_runs < MIN_RUNS or np.ptp(pairs_2N, axis=1).min() == 0:
        return None
    chosen_BN = np.random.default_rng(_SEED).integers(num_runs, size=(_RESAMPLES, num_runs))
    found_B = _spearman(pairs_2N[0][chosen_BN], pairs_2N[1][chosen_BN])
    low, high = np.nanquantile(found_B, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    (correlation,) = _spearman(pairs_2N[:1], pairs_2N[1:])
    return Estimate(float(correlation), float(low), float(high))


def _spearman(left_BN: NDArray[np.float64], right_BN: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row by row; nan where a side does not vary."""
    left_BN, right_BN = (stats.rankdata(side, axis=1) for side in (left_BN, right_BN))
    left_BN, right_BN = (side - side.mean(axis=1, keepdims=True) for side in (left_BN, right_BN))
    scale_B = np.sqrt((left_BN**2).sum(axis=1) * (right_BN**2).sum(axis=1))
    covariance_B = (left_BN * right_BN).sum(axis=1)
    return np.divide(covariance_B, scale_B, out=np.full_like(scale_B, np.nan), where=scale_B > 0)


def _mean(values_P: NDArray[np.float64]) -> Estimate:
    """Student's interval over prompts."""
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values_P) - 1) * values_P.std(ddof=1)) / math.sqrt(len(values_P))
    mean = float(values_P.mean())
    return Estimate(mean, mean - half, mean + half)


def _ratio(sum_P: NDArray[np.float64], size_P: NDArray[np.float64]) -> Estimate:
    """sum / size over all prompts; the interval over prompts is that of the linearised ratio."""
    ratio = float(sum_P.sum() / size_P.sum())
    spread = _mean((sum_P - ratio * size_P) / size_P.mean())
    return Estimate(ratio, ratio + spread.low, ratio + spread.high)
