"""Scores for answers to mathematics problems and for programs. See README.md."""

from reward.domain import STATUSES, Domain, Options, Score, Scored
from reward.domains import DOMAINS, domain_of
from reward.health import status_rates, warnings_for
from reward.mathematics.score import plain_score, warm_up
from reward.score import compute_score, compute_score_async

__all__ = [
    "DOMAINS",
    "STATUSES",
    "Domain",
    "Options",
    "Score",
    "Scored",
    "compute_score",
    "compute_score_async",
    "domain_of",
    "plain_score",
    "status_rates",
    "warm_up",
    "warnings_for",
]
