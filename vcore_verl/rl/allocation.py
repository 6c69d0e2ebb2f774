"""How many responses each prompt of a step gets, for a fixed total. Imports neither torch nor verl.

Legend: P = prompts of a step.

Sources: GVM, arXiv 2505.02391, proposition 1 and algorithm 2; for group baselines, VIP, arXiv 2602.01601. New compared
with GVM's release (RLHFlow/GVM @ d640a75, em/stage_2_calc_sample_size.py) are the bounds, and rounding by largest
remainders, which keeps the total for any input.
"""

import numpy as np

RULES = ("gvm", "neyman")
NEGLIGIBLE = 1e-9  # of the largest weight


def weights(rule: str, success_P: np.ndarray, norm_P: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """Relative numbers of responses, >= 0, shape (P,), float64.

    Args:
        rule: "gvm", which minimizes the bound sum of G^2 / (p n) on the variance of the EM gradient, regularized by
            `alpha` and `beta`: G / sqrt(p + alpha / p^(beta - 1)); or "neyman", which minimizes the variance of a
            group-baseline gradient: G sqrt(p (1 - p)).
        success_P: estimated success rates p in [0, 1].
        norm_P: estimated norms G >= 0 of a response's gradient; their scale does not matter.
        alpha, beta: see "gvm"; alpha = 0 turns the regularization off.
    """
    if rule == "neyman":
        return norm_P * np.sqrt(success_P * (1 - success_P))
    possible = success_P > 0  # without a success there is no EM gradient
    rate_P = np.where(possible, success_P, 1.0)
    return np.where(possible, norm_P / np.sqrt(rate_P + alpha / rate_P ** (beta - 1)), 0.0)


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
