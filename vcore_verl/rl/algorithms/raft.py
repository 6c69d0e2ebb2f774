"""RAFT and RAFT++ (arXiv 2504.11343): training on the correct responses alone.

Source: RLHFlow/Minimal-RL at e3b49f0, verl/trainer/ppo/core_algos.py:105-128. As there, the responses to a prompt that
are all wrong are left out (the paper's indicator r = max r keeps them), and means run over all responses, so that the
likelihood's share of the loss is proportional to the accuracy.
"""

from collections.abc import Sequence

from torch import Tensor

from vcore_verl.rl.algorithms.registry import Algorithm, register


@register("raft_pp", groups=False, binary=True)
@register(
    "raft",
    # -A log pi, without a ratio (verl/trainer/ppo/core_algos.py:1707)
    verl={"actor_rollout_ref": {"actor": {"policy_loss": {"loss_mode": "gpg"}}}},
    ignores=("clip_low", "clip_high"),
    groups=False,
    binary=True,
)
class Raft(Algorithm):
    """RAFT++ with the clipped ratio, RAFT with the plain log-likelihood."""

    def advantages(self, reward_B: Tensor, prompt_B: Sequence[str]) -> Tensor:
        """1 for a correct response, 0 for a wrong one."""
        return reward_B
