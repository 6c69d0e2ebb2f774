"""LUFFY's policy shaping (Yan et al., 2025, arXiv 2504.14945) as a weight: w_t = gamma p / (p + gamma)^2, p = p(y_t).

The gradient of the weighted loss is that of -p / (p + gamma). Source: ElliottYan/LUFFY,
luffy/verl/verl/mix_src/mix_core_alg.py:165-175. There it shapes off-policy tokens of a mixed loss, times an advantage;
as an objective for SFT alone it is our reading.
"""

from typing import Annotated

import torch

from vcore_verl.objectives.registry import Tokens, Weighting, register
from vcore_verl.setting import Setting


@register("luffy")
def weigh(
    tokens: Tokens,
    *,
    gamma: Annotated[float, Setting("p(y) with the largest weight, 1/4", above=0.0, source="released code")] = 0.1,
) -> Weighting:
    """w_t = gamma p / (p + gamma)^2, in (0, 1/4]."""
    p_T = torch.exp(-tokens.loss_T)
    return Weighting(gamma * p_T / (p_T + gamma).square())
