"""VCORE (arXiv 2510.27462): weights alpha_i n_i q_it from the tokens' gradient utilities.

s_t = <v, grad l_t> is how fast token t's loss falls when the parameters move against the probe direction v (paper,
equation 2). q is the distribution over a sequence's tokens that maximises the expected utility at a bounded distance
from uniform (section 4.1), and alpha bounds the update's variance (section 4.2). `vcore_verl.sft.probe.probe` computes
v and s.
"""

import math
from typing import Annotated

import torch
from torch import Tensor

from vcore_verl.objectives.packed import (
    expand,
    kl_from_uniform,
    lengths,
    sequence_extreme,
    sequence_softmax,
    sequence_sum,
    sequence_variance,
)
from vcore_verl.objectives.registry import Tokens, Weighting, register
from vcore_verl.setting import Setting

# Bounds of the bisection over log(inverse temperature), for utilities scaled to range 1: from practically uniform to
# practically all weight on the maximum.
_LOG_SHARPNESS = (math.log(1e-9), math.log(1e12))
_BISECTIONS = 60


def gibbs_weights(
    utility_T: Tensor, cu_seqlens_S1: Tensor, *, temperature: float | None = None, kl_budget: float | None = None
) -> Tensor:
    """Weights n_i q_it with q = softmax of utility / temperature over each sequence; mean 1 per sequence, shape (T,),
    float32.

    Give either `temperature` > 0 in units of the utility (the released code's divisor, the inverse of the paper's tau;
    infinity gives uniform weights), or `kl_budget` >= 0 in nats: each sequence then gets the temperature at which KL(q
    || uniform) equals the budget (paper, equation 1). A budget that a sequence cannot reach, above log n - log(number
    of tokens of maximal utility), puts all weight on its best tokens, those less than 1e-12 of the sequence's range
    apart; equal utilities give weight 1. Raises ValueError unless exactly one of the two is given and in range.
    """
    if temperature is not None and kl_budget is None:
        if not temperature > 0:
            raise ValueError(f"init.temperature is {temperature}: use a positive number")
        score_T = utility_T.double() / temperature
    elif kl_budget is not None and temperature is None:
        if not kl_budget >= 0:
            raise ValueError(f"init.kl_budget is {kl_budget}: use a number of nats >= 0")
        score_T = _scores_at_budget(utility_T, cu_seqlens_S1, kl_budget)
    else:
        raise ValueError("give either init.temperature or init.kl_budget, and null for the other")
    n_T = expand(lengths(cu_seqlens_S1), cu_seqlens_S1)
    return (n_T * sequence_softmax(score_T, cu_seqlens_S1)).float()


def _scores_at_budget(utility_T: Tensor, cu_seqlens_S1: Tensor, kl_budget: float) -> Tensor:
    """Utilities divided by each sequence's temperature, which bisection finds: KL(q || u) grows with the inverse
    temperature.
    """
    top_S = sequence_extreme(utility_T, cu_seqlens_S1, largest=True)
    span_S = top_S - sequence_extreme(utility_T, cu_seqlens_S1, largest=False)
    unit_T = (utility_T.double() - expand(top_S, cu_seqlens_S1)) / expand(span_S.where(span_S > 0, 1.0), cu_seqlens_S1)
    if kl_budget == 0:
        return torch.zeros_like(unit_T)
    low_S, high_S = (torch.full_like(span_S, bound) for bound in _LOG_SHARPNESS)
    for _ in range(_BISECTIONS):
        middle_S = (low_S + high_S) / 2
        q_T = sequence_softmax(unit_T * expand(middle_S.exp(), cu_seqlens_S1), cu_seqlens_S1)
        below_S = kl_from_uniform(q_T, cu_seqlens_S1) < kl_budget
        low_S, high_S = middle_S.where(below_S, low_S), high_S.where(below_S, middle_S)
    return unit_T * expand(low_S.exp(), cu_seqlens_S1)


def variance_scale(
    token_loss_T: Tensor, weights_T: Tensor, utility_T: Tensor, cu_seqlens_S1: Tensor, *, rule: str
) -> Tensor:
    """alpha of each sequence, in (0, 1], shape (S,), float32; `weights_T` are those of `gibbs_weights`.

    "loss_ratio": min(1, sum_t l_t / sum_t w_t l_t) (Algorithm 1, line 6; the released code with micro-batches of one).
    "variance": min(1, sqrt(Var_t(s_t / n) / Var_t(q_t s_t))) over the sequence's tokens (section 4.2). "none": 1. If a
    denominator is 0, alpha is 1. Raises ValueError for any other rule.
    """
    if rule == "none":
        return torch.ones(len(cu_seqlens_S1) - 1, device=weights_T.device)
    if rule == "loss_ratio":
        uniform_S = sequence_sum(token_loss_T, cu_seqlens_S1)
        weighted_S = sequence_sum(weights_T * token_loss_T, cu_seqlens_S1)
    elif rule == "variance":
        # The common factor 1/n of both terms cancels.
        uniform_S = sequence_variance(utility_T, cu_seqlens_S1).sqrt()
        weighted_S = sequence_variance(weights_T.double() * utility_T, cu_seqlens_S1).sqrt()
    else:
        raise ValueError(f"rule is {rule!r}: use loss_ratio, variance or none")
    ratio_S = (uniform_S / weighted_S.where(weighted_S > 0, 1.0)).where(weighted_S > 0, 1.0)
    return ratio_S.clamp(max=1.0).float()


@register("vcore_paper", needs=("utility",), exactly_one=(("temperature", "kl_budget"),))
@register(
    "vcore",
    needs=("utility",),
    exactly_one=(("temperature", "kl_budget"),),
    colour="#D55E00",
    marker="o",
    compared=True,
)
def weigh(
    tokens: Tokens,
    *,
    temperature: Annotated[
        float | None,
        Setting("divides the utility in the softmax", unit="of the utility", above=0.0, source="paper, Table 7"),
    ] = None,
    kl_budget: Annotated[
        float | None,
        Setting("distance of each sequence's weights from uniform", unit="nats", low=0.0, source="paper, equation 1"),
    ] = None,
    variance_control: Annotated[
        str,
        Setting(
            "bounds the update's variance, by one factor per sequence",
            choices=("loss_ratio", "variance", "none"),
            source="paper, Algorithm 1 line 6 and section 4.2",
        ),
    ] = "loss_ratio",
) -> Weighting:
    """w_it = alpha_i n_i q_it."""
    utility_T, cu_seqlens_S1 = tokens.needed("utility"), tokens.cu_seqlens_S1
    gibbs_T = gibbs_weights(utility_T, cu_seqlens_S1, temperature=temperature, kl_budget=kl_budget)
    alpha_S = variance_scale(tokens.loss_T, gibbs_T, utility_T, cu_seqlens_S1, rule=variance_control)
    return Weighting(expand(alpha_S, cu_seqlens_S1) * gibbs_T, alpha_S)
