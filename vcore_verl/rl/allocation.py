"""How many responses each prompt of a step gets, for a fixed total, from a first few responses to it. Imports neither
torch nor verl.

Legend: P = prompts of a step.

Sources: GVM, arXiv 2505.02391, proposition 1 and algorithm 2; for group baselines, VIP, arXiv 2602.01601. New compared
with GVM's release (RLHFlow/GVM @ d640a75, em/stage_2_calc_sample_size.py) are the bounds, and rounding by largest
remainders, which keeps the total for any input.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

NEGLIGIBLE = 1e-9  # of the largest weight


@dataclass(frozen=True)
class Pilots:
    """The first responses to each prompt of a step, (P,) lists; a prompt may have fewer than asked for if one failed.

    reward_P: rewards, 1 for a correct response. norm_P: norms of the gradients of the responses' log-likelihoods, up to
    a common factor, see `vcore_verl.rl.two_phases`.
    """

    reward_P: Sequence[Sequence[float]]
    norm_P: Sequence[Sequence[float]]

    @property
    def accepted_P(self) -> np.ndarray:
        """Number of correct responses."""
        return np.array([sum(reward == 1 for reward in rewards) for rewards in self.reward_P])

    @property
    def count_P(self) -> np.ndarray:
        """Number of responses."""
        return np.array([len(rewards) for rewards in self.reward_P])


def numbers(
    rule: str, pilots: Pilots, total: int, lowest: int, highest: int, alpha: float = 0.0, beta: float = 2.0
) -> np.ndarray:
    """Responses to each prompt, (P,) int64 in [`lowest`, `highest`] with sum `total`, by one of these rules:

    - "gvm": minimizes the bound sum of G^2 / (p n) on the variance of the EM gradient, regularized by `alpha` and
      `beta`; p is the share of correct pilots, G their mean norm (algorithm 2). Without a correct pilot, `lowest`.
    - "neyman": minimizes the variance of a gradient with a group baseline, sum of G^2 p (1 - p) / n; p = (k + 1/2) /
      (N' + 1), since with few pilots k = 0 does not mean that p = 0, and G is the mean norm of all pilots.
    - "uniform": the same for all.
    """
    accepted_P, count_P = pilots.accepted_P, np.maximum(pilots.count_P, 1)
    if rule == "gvm":
        norm_P = _means(
            [norm for norm, reward in zip(norms, rewards, strict=True) if reward == 1]
            for norms, rewards in zip(pilots.norm_P, pilots.reward_P, strict=True)
        )
        weight_P = gvm(accepted_P / count_P, norm_P, alpha, beta)
    elif rule == "neyman":
        weight_P = neyman((accepted_P + 0.5) / (count_P + 1), _means(pilots.norm_P))
    else:
        weight_P = np.ones(len(count_P))
    return allocate(weight_P, total, lowest, highest)


def gvm(success_P: np.ndarray, norm_P: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """G / sqrt(p + alpha / p^(beta - 1)), and 0 where p = 0 (proposition 1). p in [0, 1], G >= 0."""
    possible = success_P > 0  # without a success there is no EM gradient
    rate_P = np.where(possible, success_P, 1.0)
    return np.where(possible, norm_P / np.sqrt(rate_P + alpha / rate_P ** (beta - 1)), 0.0)


def neyman(success_P: np.ndarray, norm_P: np.ndarray) -> np.ndarray:
    """G sqrt(p (1 - p)). p in [0, 1], G >= 0."""
    return norm_P * np.sqrt(success_P * (1 - success_P))


def allocate(weight_P: np.ndarray, total: int, lowest: int, highest: int) -> np.ndarray:
    """Integers in [`lowest`, `highest`] that sum to `total`, as nearly proportional to `weight_P` as bounds allow.

    Equal for all prompts if all weights are 0. Ties in rounding go to the first. Shape (P,), int64.

    Raises:
        ValueError: the bounds and the total exclude each other.
    """
    size = len(weight_P)
    if not lowest * size <= total <= highest * size:
        raise ValueError(f"{total} responses for {size} prompts, {lowest} to {highest} each, are impossible")
    share_P = weight_P / weight_P.max() if weight_P.max() > 0 else np.ones(size)
    share_P = np.where(share_P < NEGLIGIBLE, 0.0, share_P)
    real_P = _filled(share_P, total, lowest, highest)
    count_P = np.floor(real_P + 1e-9).astype(np.int64)
    open_P = np.where(count_P < highest, real_P - count_P, -np.inf)
    count_P[np.argsort(-open_P, kind="stable")[: total - count_P.sum()]] += 1
    return count_P


def _filled(share_P: np.ndarray, total: int, lowest: int, highest: int) -> np.ndarray:
    """clip(level x share, lowest, highest) with the level at which the sum is `total`.

    If every positive share is at `highest` and something is left, the prompts with share 0 get it in equal parts.
    """
    empty_P = share_P == 0
    rest = total - highest * (~empty_P).sum() - lowest * empty_P.sum()
    if rest >= 0:
        return np.where(empty_P, lowest + rest / max(1, empty_P.sum()), highest)
    low, high = 0.0, highest / share_P[~empty_P].min()
    for _ in range(200):  # bisection: the sum does not fall as the level rises
        level = (low + high) / 2
        low, high = (level, high) if np.clip(level * share_P, lowest, highest).sum() < total else (low, level)
    return np.clip(high * share_P, lowest, highest)


def _means(rows: Iterable[Sequence[float]]) -> np.ndarray:
    """Mean of each list, 0 for an empty one."""
    return np.array([np.mean(row) if len(row) else 0.0 for row in rows])
