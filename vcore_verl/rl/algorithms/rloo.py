"""RLOO (arXiv 2402.14740): the baseline of a response is the mean reward of the others to its prompt."""

from vcore_verl.rl.algorithms.registry import Algorithm, register


@register("rloo", verl={"algorithm": {"adv_estimator": "rloo"}})
class Rloo(Algorithm):
    """verl's estimator: A = n / (n - 1) times Dr. GRPO's."""
