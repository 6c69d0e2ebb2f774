"""PEAR (arXiv 2602.01058): tokens weighted by how likely the model continues as the trace does.

delta_t = clip(log p(y_t) - log p_beta(y_t)), with p_beta the policy that wrote the trace. Off-policy evaluation weights
a token by the ratio of what follows it: log w_t = (T - t) log gamma + sum_{j > t} delta_j, clipped. No code was
released; formulas and constants are those on which three second-hand texts agree. As everywhere here, the loss is
divided by the number of tokens.
"""

import math
from typing import Annotated

import torch
from torch import Tensor

from vcore_verl.objectives.packed import expand, sequence_sum
from vcore_verl.objectives.registry import Tokens, Weighting, register
from vcore_verl.setting import Setting


@register("pear_wide", needs=("behaviour",))
@register("pear", needs=("behaviour",))
def weigh(
    tokens: Tokens,
    *,
    level: Annotated[
        str,
        Setting("ratio of what follows a token, or of the whole sequence", choices=("token", "sequence")),
    ] = "token",
    block: Annotated[int, Setting("tokens that share a weight, from the sequence's start", low=1)] = 1,
    gamma: Annotated[float, Setting("discount per token that follows", above=0.0, high=1.0)] = 0.999,
    ratio_low: Annotated[float, Setting("smallest log-ratio of a token", unit="nats", high=0.0)] = -0.08,
    ratio_high: Annotated[float, Setting("largest log-ratio of a token", unit="nats", low=0.0)] = 0.3,
    weight_low: Annotated[float, Setting("smallest log-weight", unit="nats", high=0.0)] = -10.0,
    weight_high: Annotated[float, Setting("largest log-weight", unit="nats", low=0.0)] = 5.0,
) -> Weighting:
    """w_t of each token (sections 3.4 and 3.5); with `level="sequence"` exp(sum_j delta_j) for all (section 3.3).

    A block has the weight of its last token; as long as the sequence, it is plain SFT.
    """
    delta_T = (-tokens.loss_T - tokens.needed("behaviour")).clamp(ratio_low, ratio_high)
    if level == "sequence":
        log_weight_T = expand(sequence_sum(delta_T, tokens.cu_seqlens_S1), tokens.cu_seqlens_S1)
    else:
        log_weight_T = _following(delta_T, tokens.cu_seqlens_S1, block, math.log(gamma))
    return Weighting(log_weight_T.clamp(weight_low, weight_high).exp().float())


def _following(delta_T: Tensor, cu_seqlens_S1: Tensor, block: int, log_gamma: float) -> Tensor:
    """Discounted sum of delta over the tokens after each token's block, float64 of shape (T,)."""
    start_T, end_T = expand(cu_seqlens_S1[:-1], cu_seqlens_S1), expand(cu_seqlens_S1[1:], cu_seqlens_S1)
    place_T = torch.arange(len(delta_T), device=delta_T.device) - start_T
    after_T = torch.minimum(start_T + (place_T // block + 1) * block, end_T)
    total_T1 = torch.nn.functional.pad(delta_T.double().cumsum(0), (1, 0))
    return total_T1[end_T] - total_T1[after_T] + (end_T - after_T) * log_gamma
