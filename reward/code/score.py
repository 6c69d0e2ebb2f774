"""From a response with a program to a score: the verdict of the tests, in this process's jail."""

import asyncio
import hashlib
import os
import platform
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

from reward.code.fusion import Fusion
from reward.code.jail import Jail
from reward.code.reference import Reference
from reward.code.verdict import Verdict, judge
from reward.domain import Options, Scored

COSTS = ("cpu_seconds", "waited_seconds", "tests_run")
_MAX_EXTRACTED_CHARS = 200
_HASH_CHARS = 16


class _Process:
    """State shared by the threads of a process; a forked child gets its own."""

    def __init__(self) -> None:
        self.runners: dict[tuple[str, str | None], Jail | Fusion] = {}
        # One thread a slot would idle while answers are compared; the jail itself bounds what runs at a time.
        self.threads = ThreadPoolExecutor(2 * (os.cpu_count() or 1), thread_name_prefix="code-reward")


def _renew() -> None:
    global _process
    _process = _Process()


_process = _Process()
os.register_at_fork(after_in_child=_renew)


def score_response(data_source: str, response: str, ground_truth: Any, options: Options) -> Scored:
    """The verdict on the program in a response.

    Raises:
        ValueError: the ground truth is no reference to tests, or its tests are damaged.
        FileNotFoundError: `options.tests` does not hold its tests.
        JailUnavailable: programs cannot be confined on this machine.
        JailError: the jail or the service failed three times; that is never a verdict.
    """
    started = time.monotonic()
    verdict = judge(response, ground_truth, Path(options.tests), runner(options), options.max_tests)
    costs = {name: float(getattr(verdict, name)) for name in COSTS}
    seconds = time.monotonic() - started
    return Scored(options.score(verdict.status), verdict.status, _shortened(verdict), seconds, verdict.retries, costs)


async def score_response_async(data_source: str, response: str, ground_truth: Any, options: Options) -> Scored:
    """Never runs a program in the event loop's thread."""
    call = partial(score_response, data_source, response, ground_truth, options)
    return await asyncio.get_running_loop().run_in_executor(_process.threads, call)


def runner(options: Options) -> Jail | Fusion:
    """What runs programs under these options, made once a process. Raises `JailUnavailable`, see `Jail`."""
    key = options.jail, options.fusion_url
    if key not in _process.runners:
        made = Fusion(options.fusion_url) if options.fusion_url else Jail(cast(Any, options.jail))
        _process.runners.setdefault(key, made)
    return _process.runners[key]


def same_program(program: str, other: str) -> bool:
    """Whether two programs are the same text: two wrong programs may differ in anything else."""
    return program == other


def shown(ground_truth: str) -> str:
    """A ground truth as a report shows it: `15 tests`."""
    reference = Reference.loads(ground_truth)
    return f"{reference.num_tests} tests" if reference.judged else "not judged here, counted as failed"


def judged(ground_truth: str) -> bool:
    """Whether there are tests that run here."""
    return Reference.loads(ground_truth).judged


@cache
def version() -> str:
    """What verdicts depend on besides the reward's code: the interpreter and the compiler."""
    compiler = shutil.which("g++")
    found = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True) if compiler else None
    return f"python {platform.python_version()}, g++ {found.stdout.strip() if found else 'none'}"


def _shortened(verdict: Verdict) -> str:
    """The program, cut to 200 characters of which the last are its hash, so that equal ones stay equal."""
    if len(verdict.extracted) <= _MAX_EXTRACTED_CHARS:
        return verdict.extracted
    digest = hashlib.sha256(verdict.extracted.encode()).hexdigest()[:_HASH_CHARS]
    return f"{verdict.extracted[: _MAX_EXTRACTED_CHARS - _HASH_CHARS - 1]}#{digest}"
