"""Powers of the probability (Li et al., 2025, "Beyond Log Likelihood", arXiv 2510.00526): w_t = p(y_t)^a.

The gradient of the weighted loss is that of (1 - p^a) / a. Source: GaotangLi/Beyond-Log-Likelihood,
main_verl/trainer/fsdp_sft_trainer.py:376-385. a -> 0 is `sft`, a = 1 is `dft`.
"""

from typing import Annotated

import torch

from vcore_verl.objectives.registry import Tokens, Weighting, register
from vcore_verl.setting import Setting


@register("p_power")
def weigh(tokens: Tokens, *, exponent: Annotated[float, Setting("power of p(y)", low=0.0)] = 0.5) -> Weighting:
    """w_t = p(y_t)^exponent, in (0, 1]."""
    return Weighting(torch.exp(-exponent * tokens.loss_T))
