"""`manifest.json`: what each stage depended on, when it ran, and its results. Imports no torch."""

import hashlib
import json
import subprocess
from collections.abc import Collection
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from vcore_verl.config.composition import ROOT
from vcore_verl.config.versions import package_version
from vcore_verl.runs.hashing import write_whole

SCHEMA_VERSION = 1
SHOWN = 3  # at most, of several changes, files or runs
PACKAGES = ("verl", "torch", "transformers", "vllm", "ray", "math-verify")


class Manifest:
    """The stage records of one directory.

    A record is `{status: started | done, fingerprint, depends, code, git_commit, started, seconds, artefacts}`;
    `depends` maps everything the result depends on (recipe keys, package versions, digests of input files) to its
    value, and `code` this project's files to their hashes. If a result was kept although the code had changed, `code`
    is the code at that time, and `made_by` the code that computed it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stages: dict[str, dict[str, Any]] = json.loads(path.read_text())["stages"] if path.exists() else {}

    def start(self, stage: str, depends: dict[str, Any], code: dict[str, str], resumed: bool) -> None:
        former = self.stages.get(stage, {}) if resumed else {}
        self.stages[stage] = {
            "status": "started",
            "fingerprint": fingerprint(depends),
            "depends": depends,
            **_code(former, code),
            "git_commit": git_commit(),
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "seconds": former.get("seconds", 0.0),
        }
        self.save()

    def keep(self, stage: str, code: dict[str, str]) -> None:
        """Record that the result is kept although the code has changed."""
        record = self.stages[stage]
        self.stages[stage] = {key: value for key, value in record.items() if key != "made_by"} | _code(record, code)
        self.save()

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Count the time of an attempt, finished or not."""
        self.stages[stage]["seconds"] = round(self.stages[stage]["seconds"] + seconds, 1)
        self.save()

    def finish(self, stage: str, artefacts: dict[str, str]) -> None:
        self.stages[stage] |= {"status": "done", "artefacts": artefacts}
        self.save()

    def seconds(self, stage: str) -> float:
        """Seconds that `stage` has taken so far, over all attempts."""
        return self.stages.get(stage, {}).get("seconds", 0.0)

    def forget(self, stage: str) -> None:
        self.stages.pop(stage, None)
        self.save()

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "schema_version": SCHEMA_VERSION,
            "versions": {name: package_version(name) for name in PACKAGES},
            "git_commit": git_commit(),
            "stages": self.stages,
        }
        write_whole(self.path, json.dumps(content, indent=2) + "\n")


def _code(former: dict[str, Any], code: dict[str, str]) -> dict[str, Any]:
    """`code` for a record, and `made_by` if other code made the result."""
    made_by = former.get("made_by") or former.get("code") or code
    return {"code": code} | ({"made_by": made_by} if made_by != code else {})


def changed(old: dict[str, Any], new: dict[str, Any], without: Collection[str] = ()) -> list[str]:
    """The keys whose values differ or that only one side has, except those in `without`."""
    return [key for key in old | new if old.get(key) != new.get(key) and key not in without]


def changes(old: dict[str, Any], new: dict[str, Any], without: Collection[str] = ()) -> str:
    """What has `changed`, as text; empty if nothing has."""
    words = []
    for key in changed(old, new, without):
        is_digest = any(isinstance(value, str) and len(value) == 64 for value in (old.get(key), new.get(key)))
        words.append(f"{key} changed" if is_digest else f"{key} was {old.get(key)}, is {new.get(key)}")
    return some(words)


def some(words: list[str]) -> str:
    """The first `SHOWN` words, and the number of the others."""
    more = [f"and {len(words) - SHOWN} more"] if len(words) > SHOWN else []
    return ", ".join(words[:SHOWN] + more)


def fingerprint(depends: dict[str, Any]) -> str:
    """A hash of `depends`, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]


@cache
def git_commit() -> str | None:
    """Commit of the repository, with `+changes` if the work tree differs from it; None outside git."""
    described = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or None
