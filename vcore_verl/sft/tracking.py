"""verl's experiment trackers, for metrics logged outside verl's own trainers."""

from typing import Any

from verl.utils.tracking import Tracking


def open_trackers(project: str, name: str, trackers: list[str], config: dict[str, Any]) -> Tracking:
    """Start a run called `name` in each tracker; see `runs.tracking` for the trackers' names and locations."""
    return Tracking(project, name, trackers, config)
