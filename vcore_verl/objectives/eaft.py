"""Entropy-adaptive fine-tuning (EAFT, arXiv 2601.02151): w_t = (H_t / ln 20)^exponent.

H_t is the entropy of the model's 20 most probable tokens at t, renormalised, so a token that contradicts a certain
model has little weight. Source: hiyouga/LLaMA-Factory, src/llamafactory/train/trainer_utils.py:790-830. That code
divides by 3.0 in place of the paper's ln 20, a factor of 0.9986.
"""

import math
from typing import Annotated

from vcore_verl.objectives.registry import TOP, Tokens, Weighting, register
from vcore_verl.setting import Setting


@register("eaft", needs=("entropy",))
def weigh(
    tokens: Tokens, *, exponent: Annotated[float, Setting("power of the relative entropy", above=0.0)] = 1.0
) -> Weighting:
    """w_t in [0, 1]."""
    return Weighting((tokens.needed("entropy") / math.log(TOP)).clamp(0, 1) ** exponent)
