"""verl's experiment trackers, for what is logged outside of verl's own trainers."""

from typing import Any

from verl.utils.tracking import Tracking


def open_trackers(project: str, name: str, trackers: list[str], config: dict[str, Any]) -> Tracking:
    """A run called `name` in each of the trackers; see `runs.tracking` for their names and places."""
    return Tracking(project, name, trackers, config)
