"""Dynamic fine-tuning (Wu et al., 2025, arXiv 2508.05629): w_t = p(y_t).

The gradient of the weighted loss is that of -p(y_t). Source: yongliang-wu/DFT,
verl/verl/trainer/fsdp_dft_trainer.py:366-371. As in that code, the loss is divided by the number of tokens, not by the
sum of the weights.
"""

import torch

from vcore_verl.objectives.registry import Tokens, Weighting, register


@register("dft", colour="#009E73", marker="^", compared=True)
def weigh(tokens: Tokens) -> Weighting:
    """w_t = p(y_t) = exp(-l_t), in (0, 1]."""
    return Weighting(torch.exp(-tokens.loss_T))
