"""The token weight in GIFT's loss (arXiv 2601.09233): w_t = 1 - 1 / (1 + p_ref(y_t) (e^beta - 1)).

GIFT trains on the softmax of log p_ref + beta onehot(y), p_ref the initial model. That cross-entropy is
w l + (1 - w) CE(p_ref, p); this objective drops its second term, which needs the initial model's whole distribution.
Source of the default: zzy1127/GIFT, verl/verl/trainer/fsdp_gift_trainer.py:397-450. With it only tokens that the
initial model rules out have a weight well below 1.
"""

import math
from typing import Annotated

from vcore_verl.objectives.registry import Tokens, Weighting, register
from vcore_verl.setting import Setting


@register("gift_weight", needs=("reference",))
def weigh(
    tokens: Tokens,
    *,
    beta: Annotated[float, Setting("logit added to the label's", unit="nats", above=0.0, high=80.0)] = 20.0,
) -> Weighting:
    """w_t in [0, 1)."""
    odds_T = tokens.needed("reference").exp() * math.expm1(beta)
    return Weighting(odds_T / (1 + odds_T))
