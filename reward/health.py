"""How often verification failed rather than judged, and a warning when that is too often."""

import logging
import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping

logger = logging.getLogger("reward")

STATUSES = ("correct", "wrong", "no_answer", "parse_error", "timeout")

# Above these shares of all answers the reward no longer measures mathematics: see README.md, "Counts and warnings".
WARNING_RATES = {"timeout": 0.02, "parse_error": 0.2}
_WINDOW = 500


def status_rates(rows: Iterable[Mapping]) -> dict[str, float]:
    """Share of each status among scored rows, and workers replaced per row.

    Args:
        rows: results of `compute_score` or verl's `reward_extra_info` dicts.

    Returns:
        `{"status/<status>": share, ..., "workers_replaced": per row}` for whatever is in the rows; {} for none.
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
        f"reward: {rates[f'status/{status}']:.1%} of the answers ended as {status} (limit {limit:.0%}); they score 0"
        " whatever they say. Look at `extracted` of these rows."
        for status, limit in WARNING_RATES.items()
        if rates.get(f"status/{status}", 0.0) > limit
    ]


class Monitor:
    """Counts the statuses of one process and logs a warning at most once per 500 answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: deque[str] = deque(maxlen=_WINDOW)
        self._since_check = 0
        self.counts: Counter[str] = Counter()

    def record(self, status: str) -> None:
        with self._lock:
            self.counts[status] += 1
            self._recent.append(status)
            self._since_check += 1
            if self._since_check < _WINDOW:
                return
            self._since_check = 0
            rates = status_rates({"status": recent} for recent in self._recent)
        for line in warnings_for(rates):
            logger.warning(line)
