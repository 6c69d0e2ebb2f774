"""Scores for answers to mathematics problems. See README.md."""

from reward.health import STATUSES, status_rates, warnings_for
from reward.score import (
    Options,
    Score,
    compute_score,
    compute_score_async,
    plain_score,
    warm_up,
)

__all__ = [
    "STATUSES",
    "Options",
    "Score",
    "compute_score",
    "compute_score_async",
    "plain_score",
    "status_rates",
    "warm_up",
    "warnings_for",
]
