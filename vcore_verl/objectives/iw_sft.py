"""Importance-weighted SFT (Qin and Springenberg, 2025, arXiv 2507.12856): weights p(y) / p_ref(y), p_ref the initial
model.

Source: emmyqin/iw_sft, bounding_trainers.py. The released default weights whole sequences by the geometric mean of the
token ratios (`sum_over_time=True`, temperature 1); its alternative weights single tokens.
"""

from typing import Annotated

from vcore_verl.objectives.packed import expand, sequence_mean
from vcore_verl.objectives.registry import Tokens, Weighting, register
from vcore_verl.setting import Setting

SEQUENCE_BOUNDS = (0.0, 16.0)
TOKEN_BOUNDS = (0.2, 1.8)


@register("iw_sft", needs=("reference",), colour="#CC79A7", marker="D", compared=True)
def weigh(
    tokens: Tokens,
    *,
    level: Annotated[
        str, Setting("what has one weight: a sequence or a token", choices=("sequence", "token"))
    ] = "sequence",
) -> Weighting:
    """w_t of each token.

    `level="sequence"`: clamp(exp(mean_t(log p - log p_ref)), 0, 16), the same for all tokens of a sequence.
    `level="token"`: clamp(p / p_ref, 0.2, 1.8).
    """
    log_ratio_T = -tokens.loss_T - tokens.needed("reference")
    if level == "token":
        return Weighting(log_ratio_T.exp().clamp(*TOKEN_BOUNDS))
    ratio_S = sequence_mean(log_ratio_T, tokens.cu_seqlens_S1).exp().clamp(*SEQUENCE_BOUNDS)
    return Weighting(expand(ratio_S, tokens.cu_seqlens_S1).float())
