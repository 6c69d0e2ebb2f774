"""How often verification itself failed, and warnings if it fails too often."""

from collections import Counter
from collections.abc import Iterable, Mapping

STATUSES = ("correct", "wrong", "no_answer", "parse_error", "timeout")

# Above these shares of all answers the reward no longer measures correctness: see README.md, "Counts and warnings".
WARNING_RATES = {"timeout": 0.02, "parse_error": 0.2}


def status_counts(status: str) -> dict[str, float]:
    """1 for a response's status and 0 for the others, in the form in which verl averages them."""
    return {f"status_{name}": float(name == status) for name in STATUSES}


def status_rates(rows: Iterable[Mapping]) -> dict[str, float]:
    """Share of each status among scored rows, and workers replaced per row.

    Args:
        rows: results of `compute_score` or verl's `reward_extra_info` dicts.

    Returns:
        `{"status/<status>": share, ..., "workers_replaced": per row}`; {} for no rows.
    """
    rows = list(rows)
    if not rows:
        return {}
    counts = Counter(row["status"] for row in rows)
    rates = {f"status/{status}": counts[status] / len(rows) for status in STATUSES}
    return rates | {"workers_replaced": sum(row.get("workers_replaced", 0.0) for row in rows) / len(rows)}


def warnings_for(rates: Mapping[str, float]) -> list[str]:
    """One line for each rate above its limit."""
    return [
        f"reward: {rates[f'status/{status}']:.1%} of the answers ended as {status} (limit {limit:.0%}) and scored 0"
        " even if correct. Look at `extracted` of these rows."
        for status, limit in WARNING_RATES.items()
        if rates.get(f"status/{status}", 0.0) > limit
    ]
