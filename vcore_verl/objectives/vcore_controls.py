"""Controls for `vcore`: as far from uniform, by a score that is not its utility.

If `vcore_loss` trains like `vcore`, the probe's direction adds nothing to the size of the loss. If `vcore_negated` does
as well, the order of the tokens does not matter. If `vcore_clean` does no better, a gradient of noisy traces is not
what limits `vcore`.
"""

from typing import Annotated

from vcore_verl.objectives.budget import at_budget
from vcore_verl.objectives.registry import Tokens, Weighting, register
from vcore_verl.setting import Setting


@register("vcore_clean", needs=("utility", "kind", "clean_probe"))
def by_clean_utility(
    tokens: Tokens,
    *,
    kl_budget: Annotated[
        float, Setting("distance of each sequence's weights from uniform", unit="nats", low=0.0)
    ] = 0.1,
) -> Weighting:
    """The score is the utility along the gradient of the probe batch's tokens that are no noise (`oracle`)."""
    return at_budget(tokens.needed("utility"), tokens, kl_budget)


@register("vcore_loss")
def by_loss(
    tokens: Tokens,
    *,
    kl_budget: Annotated[
        float, Setting("distance of each sequence's weights from uniform", unit="nats", low=0.0)
    ] = 0.1,
) -> Weighting:
    """The score is the token's loss: s_t = l_t."""
    return at_budget(tokens.loss_T, tokens, kl_budget)


@register("vcore_negated", needs=("utility",))
def by_negated_utility(
    tokens: Tokens,
    *,
    kl_budget: Annotated[
        float, Setting("distance of each sequence's weights from uniform", unit="nats", low=0.0)
    ] = 0.1,
) -> Weighting:
    """The score is the utility with its sign reversed."""
    return at_budget(-tokens.needed("utility"), tokens, kl_budget)
