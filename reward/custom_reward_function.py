"""The file to name in verl's `reward.custom_reward_function.path`. It holds no state: verl executes it anew by its path."""

from reward.score import compute_score

__all__ = ["compute_score"]
