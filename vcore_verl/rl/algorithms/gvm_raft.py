"""GVM-RAFT++ (arXiv 2505.02391, algorithm 1): RAFT++ on a number of responses to each prompt that follows from a first
few.

Source and differences: see `gvm_grpo`. The released loss is a mean over all rows, in which a prompt weighs n_i p_i;
`weight="accepted"` is algorithm 1, in which each prompt with a correct response weighs alike.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from torch import Tensor

from vcore_verl.rl.algorithms.gvm_grpo import scaling
from vcore_verl.rl.algorithms.registry import Algorithm, Responses, Scaling, register
from vcore_verl.rl.allocation import Pilots, numbers
from vcore_verl.setting import Setting


@register("gvm_raft", verl={"actor_rollout_ref": {"rollout": {"calculate_log_probs": True}}}, groups=False, binary=True)
class GvmRaft(Algorithm):
    """The correct responses alone, with the clipped ratio."""

    rule: Annotated[str, Setting("what the allocation minimizes", choices=("gvm", "neyman", "uniform"))] = "gvm"
    pilot: Annotated[int, Setting("first responses to each prompt", low=1)] = 2
    discard_pilot: Annotated[bool, Setting("draw all responses anew, as the release does")] = False
    lowest: Annotated[int, Setting("fewest responses to a prompt", low=0)] = 2
    highest: Annotated[int, Setting("most responses to a prompt", low=1)] = 16
    alpha: Annotated[float, Setting("regularization of gvm", low=0, source="paper, section 5")] = 1e-3
    beta: Annotated[float, Setting("regularization of gvm", low=2, source="paper, section 5")] = 2.0
    weight: Annotated[
        str,
        Setting(
            "what counts alike in the loss: prompts, by their correct responses, or all rows",
            choices=("accepted", "rows"),
        ),
    ] = "accepted"

    def allocate(self, pilots: Pilots, total: int) -> np.ndarray:
        """By `rule`; see `vcore_verl.rl.allocation.numbers`."""
        return numbers(self.rule, pilots, total, self.lowest, self.highest, self.alpha, self.beta)

    def advantages(self, reward_B: Tensor, prompt_B: Sequence[str]) -> Tensor:
        """1 for a correct response, 0 for a wrong one."""
        return reward_B

    def scale(self, responses: Responses) -> Scaling:
        """N / (m |D_i|) for the |D_i| correct responses to one of m prompts, N in all; 1 with `weight="rows"`."""
        return scaling(responses, self.weight)
