"""Dr. GRPO (arXiv 2503.20783): no division by the group's standard deviation or by the response's length.

The second is `loss_aggregation: seq-mean-token-sum-norm`, which divides by a constant, `rl.max_response_tokens`.
"""

from vcore_verl.rl.algorithms.registry import Algorithm, register


@register("dr_grpo", verl={"algorithm": {"norm_adv_by_std_in_grpo": False}})
class DrGrpo(Algorithm):
    """A = r - mean over the responses to a prompt."""
