"""One thing that was looked at."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """`found` is what this machine has; `advice` what to do about it, empty where all is well.

    A run that `blocks` would fail; one that is `doubtful` may.
    """

    subject: str
    found: str
    level: Literal["ok", "doubtful", "blocks"] = "ok"
    advice: str = ""


def judge(subject: str, found: str, advice: str, *, blocks: bool = False, doubtful: bool = False) -> Finding:
    """A finding of the first level that applies; with none it is well, and needs no advice."""
    if blocks or doubtful:
        return Finding(subject, found, "blocks" if blocks else "doubtful", advice)
    return Finding(subject, found)
