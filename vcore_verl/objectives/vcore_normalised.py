"""VCORE with utilities relative to the size of a token's gradient: s_t / (1 - p(y_t)).

s_t = <v, grad l_t> grows with |grad l_t|, so tokens that the model nearly knows have the least weight, wherever v
points. 1 - p(y_t) stands for |grad l_t|: the norm of the gradient in the logits is at least that and at most sqrt(2)
times as much, while that in the parameters would take a backward pass per token. Ours.
"""

from typing import Annotated

import torch

from vcore_verl.objectives.budget import at_budget
from vcore_verl.objectives.registry import Tokens, Weighting, register
from vcore_verl.setting import Setting

LEAST = 1e-6  # of 1 - p; below it the utility is rounding


@register("vcore_normalised", needs=("utility",))
def weigh(
    tokens: Tokens,
    *,
    kl_budget: Annotated[
        float, Setting("distance of each sequence's weights from uniform", unit="nats", low=0.0)
    ] = 0.1,
) -> Weighting:
    """w_it = alpha_i n_i q_it, q the softmax of the normalised utility at the budget."""
    size_T = -torch.expm1(-tokens.loss_T)
    return at_budget(tokens.needed("utility") / size_T.clamp(min=LEAST), tokens, kl_budget)
