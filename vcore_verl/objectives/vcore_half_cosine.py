"""VCORE whose KL budget follows the quality of its probe: budget = kl_budget max(0, c).

c is the cosine of the gradients of the two halves of the probe batch. At a constant budget, noise gets as much of the
weight as signal once the halves disagree; here the weights then become uniform. Ours.
"""

from typing import Annotated

from vcore_verl.objectives.budget import at_budget
from vcore_verl.objectives.registry import Tokens, Weighting, register
from vcore_verl.setting import Setting


@register("vcore_half_cosine", needs=("utility", "half_cosine"))
def weigh(
    tokens: Tokens,
    *,
    kl_budget: Annotated[
        float, Setting("distance of each sequence's weights from uniform where the halves agree", unit="nats", low=0.0)
    ] = 0.1,
) -> Weighting:
    """w_it = alpha_i n_i q_it, q the softmax of the utility at the step's budget."""
    return at_budget(tokens.needed("utility"), tokens, kl_budget * max(tokens.needed("half_cosine"), 0.0))
