"""SEED-GRPO (arXiv 2505.12346): smaller updates on prompts whose answers differ in meaning.

Written from the paper: its repository has no code. A = (r - mean) (1 - alpha SE / log n), SE the semantic entropy of
the n answers. The paper prints neither this linear form, its default, nor whether alpha multiplies SE / log n.
"""

import math
from typing import Annotated

import torch

from reward.answers import mean_log_frequency, semantic_entropy, sizes
from vcore_verl.rl.algorithms.registry import Algorithm, Responses, Scaling, register
from vcore_verl.setting import Setting


@register("seed_grpo", verl={"algorithm": {"norm_adv_by_std_in_grpo": False}})
class SeedGrpo(Algorithm):
    """Dr. GRPO with advantages scaled by the certainty of the answers."""

    alpha: Annotated[float, Setting("how much the most uncertain prompt loses", low=0, high=1)] = 0.02
    definition: Annotated[
        str,
        Setting(
            "Shannon entropy over answers, or equation 5, which is larger for 7 to 1 than for 4 to 4",
            choices=("shannon", "paper"),
        ),
    ] = "shannon"

    def scale(self, responses: Responses) -> Scaling:
        """1 - alpha SE / log n, the same for all responses to a prompt; 1 where n = 1."""
        entropy = {"shannon": semantic_entropy, "paper": mean_log_frequency}[self.definition]
        factor_B = torch.ones(len(responses.prompt_B))
        for rows in responses.by_prompt().values():
            if len(rows) > 1:
                found = entropy(sizes([responses.answer_B[row] for row in rows]))
                factor_B[rows] = 1 - self.alpha * found / math.log(len(rows))
        return Scaling(factor_B[:, None], {"seed_grpo/factor": float(factor_B.mean())})
