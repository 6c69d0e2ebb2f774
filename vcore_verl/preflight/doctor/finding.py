"""The result of one check."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """`found` is what this machine has; `advice` is what to do about it, empty if all is well.

    An `error` means that the run would fail, a `warning` that it may.
    """

    subject: str
    found: str
    level: Literal["ok", "warning", "error"] = "ok"
    advice: str = ""


def judge(subject: str, found: str, advice: str, *, error: bool = False, warning: bool = False) -> Finding:
    """An error or a warning with `advice`, whichever applies first; otherwise ok, without advice."""
    if error or warning:
        return Finding(subject, found, "error" if error else "warning", advice)
    return Finding(subject, found)
