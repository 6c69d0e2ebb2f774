"""Tokens that the model finds probable enough (ProFit, arXiv 2601.09195): w_t = 1 if p(y_t) >= low, else 0.

Source: Utaotao/ProFit, src/llamafactory/train/trainer_utils.py:696-733, direction "higher" with threshold 0.1. As
there, the loss is divided by the number of all tokens, not by that of the kept ones.
"""

from typing import Annotated

import torch

from vcore_verl.objectives.registry import Tokens, Weighting, register
from vcore_verl.setting import Setting


@register("threshold")
def weigh(
    tokens: Tokens,
    *,
    low: Annotated[
        float, Setting("smallest p(y) that is trained on", low=0.0, high=1.0, source="released script")
    ] = 0.1,
) -> Weighting:
    """w_t = 1 for tokens that are kept, else 0."""
    return Weighting((torch.exp(-tokens.loss_T) >= low).to(tokens.loss_T))
