"""GVM-GRPO (arXiv 2505.02391): GRPO on a number of responses to each prompt that follows from a first few.

The paper's rule minimizes the variance of the EM gradient, `gvm_raft`'s; for a group baseline `neyman` does. Source:
RLHFlow/GVM at d640a75, em/. New here: the pilot responses are trained on and counted, one step is one allocation (there
a shard of 10,000 prompts, drawn with a policy up to 8 steps old), and the number of optimizer steps is GRPO's (there
a mini-batch counts rows, of which there are more).
"""

from typing import Annotated

import numpy as np
import torch

from vcore_verl.rl.algorithms.registry import Algorithm, Responses, Scaling, register
from vcore_verl.rl.allocation import Pilots, numbers
from vcore_verl.setting import Setting


@register("gvm_grpo", verl={"actor_rollout_ref": {"rollout": {"calculate_log_probs": True}}})
class GvmGrpo(Algorithm):
    """GRPO's advantages, weighted so that each prompt counts alike however many responses it has."""

    rule: Annotated[str, Setting("what the allocation minimizes", choices=("gvm", "neyman", "uniform"))] = "neyman"
    pilot: Annotated[int, Setting("first responses to each prompt", low=1)] = 2
    discard_pilot: Annotated[bool, Setting("draw all responses anew, as the release does")] = False
    lowest: Annotated[int, Setting("fewest responses to a prompt", low=0)] = 2
    highest: Annotated[int, Setting("most responses to a prompt", low=1)] = 16
    alpha: Annotated[float, Setting("regularization of gvm", low=0, source="paper, section 5")] = 1e-3
    beta: Annotated[float, Setting("regularization of gvm", low=2, source="paper, section 5")] = 2.0
    weight: Annotated[str, Setting("what counts alike in the loss", choices=("prompts", "rows"))] = "prompts"

    def allocate(self, pilots: Pilots, total: int) -> np.ndarray:
        """By `rule`; see `vcore_verl.rl.allocation.numbers`."""
        return numbers(self.rule, pilots, total, self.lowest, self.highest, self.alpha, self.beta)

    def scale(self, responses: Responses) -> Scaling:
        """N / (m n_i) for the n_i responses to one of m prompts, N in all; 1 with `weight="rows"`."""
        return scaling(responses, self.weight)


def scaling(responses: Responses, weight: str) -> Scaling:
    """Factors "rows" 1, "prompts" N / (m n_i), "accepted" N / (m |D_i|) with D_i the correct responses to prompt i."""
    factor_B = torch.ones(len(responses.prompt_B))
    prompts = responses.by_prompt()
    for rows in prompts.values() if weight != "rows" else ():
        counted = len(rows) if weight == "prompts" else int((responses.reward_B[rows] == 1).sum())
        factor_B[rows] = len(responses.prompt_B) / (len(prompts) * max(1, counted))
    return Scaling(factor_B[:, None], {"allocation/prompts": len(prompts)})
