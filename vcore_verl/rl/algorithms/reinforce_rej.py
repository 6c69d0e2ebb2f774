"""Reinforce-Rej (arXiv 2504.11343, section 3): rewards of -1 and 1, prompts answered all correctly or all wrongly left
out, neither mean nor standard deviation.

The released code (RLHFlow/Minimal-RL at e3b49f0, verl/trainer/ppo/core_algos.py:130-170) has the same rule on rewards
of 0 and 1: without a negative signal, it is RAFT++ minus the prompts that are answered all correctly.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from vcore_verl.rl.algorithms.registry import Algorithm, register


@register("reinforce_rej", binary=True)
class ReinforceRej(Algorithm):
    """REINFORCE on the prompts that are neither solved nor hopeless."""

    def advantages(self, reward_B: Tensor, prompt_B: Sequence[str]) -> Tensor:
        """1 for a correct response, -1 for a wrong one, 0 where all responses to the prompt are equally good."""
        rewards = defaultdict(set)
        for prompt, reward in zip(prompt_B, reward_B.tolist(), strict=True):
            rewards[prompt].add(reward)
        mixed_B = torch.tensor([len(rewards[prompt]) > 1 for prompt in prompt_B], device=reward_B.device)
        return (2 * reward_B - 1) * mixed_B
