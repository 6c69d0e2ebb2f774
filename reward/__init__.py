"""Scores for answers to mathematics problems. See README.md."""

from reward.score import STATUSES, Score, compute_score

__all__ = ["STATUSES", "Score", "compute_score"]
