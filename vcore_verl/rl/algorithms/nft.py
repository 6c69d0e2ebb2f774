"""NFT, negative-aware fine-tuning (arXiv 2505.18116): the likelihood of correct responses, and of wrong ones under the
policy that the trained one implies.

With r the correctness, q the prompt's accuracy under the old policy and R = pi / pi_old of a token, its loss is
-(1 - q) [r log R + (1 - r) log max_v((1 - q R) / (1 - q), epsilon)]. max_v bounds the value and passes the gradient
(NVlabs/NFT at b358fae, dp_actor.py:53-55). The weight 1 - q makes the gradient at R = 1 that of Dr. GRPO.
"""

from typing import Annotated

import torch
from torch import Tensor

from vcore_verl.rl.algorithms.registry import Algorithm, register
from vcore_verl.setting import Setting

LOG_RATIO = 10.0  # at most, as in the released code (dp_actor.py:311-375)


@register(
    "nft",
    verl={"algorithm": {"norm_adv_by_std_in_grpo": False}},
    ignores=("clip_low", "clip_high"),
    binary=True,
)
class Nft(Algorithm):
    """The loss reads r and q from Dr. GRPO's advantage: 1 - q for a correct response, -q for a wrong one."""

    epsilon: Annotated[float, Setting("lower bound of the implied ratio of wrong responses", above=0, high=1)] = 1.0

    def token_loss(self, log_ratio_BL: Tensor, advantage_BL: Tensor) -> Tensor:
        """The formula above, and 0 where A = 0: q is then 0 or 1, and there is nothing to tell apart.

        The released code instead clamps q to [0.02, 0.98] and expects such prompts to be filtered.
        """
        log_ratio_BL = log_ratio_BL.clamp(max=LOG_RATIO)
        correct_BL = advantage_BL > 0
        q_BL = torch.where(correct_BL, 1 - advantage_BL, -advantage_BL)
        implied_BL = (1 - q_BL * log_ratio_BL.exp()) / (1 - q_BL)
        bounded_BL = implied_BL + (implied_BL.clamp(min=self.epsilon) - implied_BL).detach()
        log_likelihood_BL = torch.where(correct_BL, log_ratio_BL, bounded_BL.log())
        return -(1 - q_BL) * log_likelihood_BL * (advantage_BL != 0)
