"""How often verification itself failed, and warnings if it fails too often."""

from collections import Counter
from collections.abc import Iterable, Mapping

from reward.domain import STATUSES, Domain


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


def warnings_for(rates: Mapping[str, float], domain: Domain) -> list[str]:
    """One line for each rate above the limit of the domain."""
    return [
        f"reward: {rates[f'status/{status}']:.1%} of the answers ended as {status} (limit {limit:.0%}) and scored 0"
        " even if correct. Look at `extracted` of these rows."
        for status, limit in domain.warning_rates.items()
        if rates.get(f"status/{status}", 0.0) > limit
    ]
