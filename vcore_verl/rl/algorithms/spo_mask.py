"""The probability mask of segment policy optimization (SPO, arXiv 2505.23564), on GRPO.

Only the tokens that the old policy finds less probable than a threshold are trained on, and the loss is divided by
their number (AIFrameResearch/SPO at b9fc6a2, src/treetune/trainers/ppo_trainer.py:1057-1059). Here the number is the
step's instead of the mini-batch's. SPO's segments and their Monte-Carlo values are not part of it.
"""

import math
from typing import Annotated

from vcore_verl.rl.algorithms.registry import Algorithm, Responses, Scaling, register
from vcore_verl.setting import Setting


@register("spo_mask")
class SpoMask(Algorithm):
    """GRPO on the tokens at which the policy could have gone another way."""

    mask_below: Annotated[
        float, Setting("probability of a token that is trained on, below", above=0, source="released code")
    ] = 0.9

    def scale(self, responses: Responses) -> Scaling:
        """n / m for the m of n tokens with a probability below `mask_below`, 0 for the others: the mean is 1."""
        open_BL = (responses.old_log_prob_BL < math.log(self.mask_below)) & responses.mask_BL
        num_open, num_tokens = int(open_BL.sum()), int(responses.mask_BL.sum())
        factor = num_tokens / num_open if num_open else 0.0
        return Scaling(open_BL.float() * factor, {"spo_mask/share": num_open / num_tokens})
