"""Scores for answers to mathematics problems. See README.md."""

from reward.health import STATUSES, status_rates, warnings_for
from reward.score import (
    Options,
    Score,
    compute_score,
    compute_score_async,
    compute_scores,
    status_counts,
    warm_up,
)
from reward.shaping import soft_overlong_punishment

__all__ = [
    "STATUSES",
    "Options",
    "Score",
    "compute_score",
    "compute_score_async",
    "compute_scores",
    "soft_overlong_punishment",
    "status_counts",
    "status_rates",
    "warm_up",
    "warnings_for",
]
