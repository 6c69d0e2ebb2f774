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
