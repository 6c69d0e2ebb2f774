"""One thing that was looked at."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """`found` is what this machine has; `advice` what to do about it, empty where all is well.

    With an `error` the run would fail, with a `warning` it may.
    """

    subject: str
    found: str
    level: Literal["ok", "warning", "error"] = "ok"
    advice: str = ""


def judge(subject: str, found: str, advice: str, *, error: bool = False, warning: bool = False) -> Finding:
    """A finding of the first level that applies; with none it is well, and needs no advice."""
    if error or warning:
        return Finding(subject, found, "error" if error else "warning", advice)
    return Finding(subject, found)
