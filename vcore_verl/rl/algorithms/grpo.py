"""GRPO (arXiv 2402.03300), which is what verl does by default; DAPO (arXiv 2503.14476) is other common settings."""

from vcore_verl.rl.algorithms.registry import Algorithm, register


@register("grpo")
class Grpo(Algorithm):
    """A = (r - mean) / std over the responses to a prompt, and the clipped ratio."""
