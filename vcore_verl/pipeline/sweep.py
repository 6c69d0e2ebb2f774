"""A sweep: runs the arms of a recipe in sequence.

Each arm is a `run` in a separate process. An arm that fails does not stop the others, and the same command given again
skips whatever has finished. Imports no torch.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vcore_verl.pipeline.arms import Arm
from vcore_verl.pipeline.pipeline import require_answer
from vcore_verl.runtime import guard, process
from vcore_verl.runtime.diagnose import cause, tail
from vcore_verl.runtime.progress import duration

_ERROR = "error: "  # prefix of the command line's error messages


@dataclass(frozen=True)
class Failure:
    """An arm that failed; `reason` may have several lines and names the log."""

    arm: Arm
    reason: str


def print_plan(planned: Sequence[Arm], console: Console) -> None:
    """Print what `run_all` would do."""
    table = Table("arm", "to run", box=None)
    missing = {arm.name: arm.missing() for arm in planned}
    root = planned[0].root
    shared = dict.fromkeys(step.stage.name for steps in missing.values() for step in steps if step.stage.home == root)
    table.add_row("shared by all", " ".join(shared) or "nothing: already done")
    planned_folders: set[Path] = set()  # the first of the arms that share an SFT runs it
    for name, steps in missing.items():
        own = [step.stage for step in steps if step.stage.home != root]
        words = [stage.name for stage in own if stage.folder not in planned_folders]
        planned_folders.update(stage.folder for stage in own)
        table.add_row(name, " ".join(words) or f"nothing: {'in an arm above' if own else 'already done'}")
    console.print(table)


def run_all(planned: Sequence[Arm], console: Console) -> list[Failure]:
    """Run the arms that are not done, write the report after the last arm of each seed, and return the failed arms.

    On `KeyboardInterrupt`, shut down the running arm, print the remaining arms and raise it again. Raises `CodeChanged`
    before the first arm starts, if any arm has a stage to ask about.
    """
    missing = {arm.name: arm.missing() for arm in planned}
    require_answer([step for steps in missing.values() for step in steps])
    done = [arm for arm in planned if not missing[arm.name]]
    left = [arm for arm in planned if arm not in done]
    failures: list[Failure] = []
    for number, arm in enumerate(planned, 1):
        say = partial(_say, console, f"arm {number}/{len(planned)} {arm.name}")
        if arm not in left:
            say(f"already done in {duration(arm.seconds())}")
            continue
        say(f"running{_time_left(done, left)}; log: {arm.log}")
        start = time.monotonic()
        try:
            failure = _run(arm, console)
        except KeyboardInterrupt:
            console.print(f"arms left: {', '.join(item.name for item in left)}", highlight=False, soft_wrap=True)
            raise
        left.remove(arm)
        if failure is None:
            done.append(arm)
            say(f"[green]done[/green] in {duration(time.monotonic() - start)}")
        else:
            failures.append(failure)
            say(f"[red]failed[/red] after {duration(time.monotonic() - start)}", failure.reason.splitlines()[0])
        if not arm.validate and number < len(planned) and planned[number].recipe.seed != arm.recipe.seed:
            _report_so_far(arm, console)
    return failures


def total_seconds(planned: Sequence[Arm]) -> float:
    """The total time of all arms; shared stages count once."""
    stages = {(stage.folder, stage.name): (arm, stage) for arm in planned for stage in arm.pipeline.stages}
    return sum(arm.pipeline.seconds(stage) for arm, stage in stages.values())


def _say(console: Console, title: str, markup: str, detail: str = "") -> None:
    console.print(Text.assemble(f"{title}: ", Text.from_markup(markup), detail and f" ({detail})"), soft_wrap=True)


def _time_left(done: Sequence[Arm], left: Sequence[Arm]) -> str:
    """The estimated remaining time, from the mean of the finished arms; empty if there are none."""
    known = [seconds for arm in done if (seconds := arm.seconds()) > 0]
    if not known:
        return ""
    return f", about {duration(sum(known) / len(known) * len(left))} left for {len(left)} of the arms"


def _run(arm: Arm, console: Console) -> Failure | None:
    arm.log.parent.mkdir(parents=True, exist_ok=True)
    before = arm.log.stat().st_size if arm.log.exists() else 0
    with console.status("starting") as status:
        code = _child(arm.argv, arm.log, lambda line: status.update(Text(line, no_wrap=True, overflow="ellipsis")))
    return Failure(arm, _reason(arm.log, before, code)) if code else None


def _child(argv: list[str], log: Path, on_line: Callable[[str], None]) -> int:
    """Run `argv` with its output appended to `log` and return its exit code; `on_line` gets the last line so far.

    However this process ends, the child receives SIGTERM and shuts down cleanly: its own stages are guarded.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            argv,
            env=process.environment({}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches this process only
            preexec_fn=partial(guard.prctl, guard.PR_SET_PDEATHSIG, signal.SIGTERM),
        )
    try:
        while child.poll() is None:
            on_line(_last_line(log))
            time.sleep(process.POLL_SECONDS)
    finally:
        child.terminate()
        child.wait()
    return child.returncode


def _last_line(log: Path) -> str:
    lines = tail(log, 1000).splitlines()
    return lines[-1].strip() if lines else ""


def _reason(log: Path, start: int, code: int) -> str:
    """The command's own error message after byte `start` of its log, or else how it ended."""
    said = log.read_bytes()[start:].decode(errors="replace")
    _, found, message = f"\n{said}".rpartition(f"\n{_ERROR}")
    return message.rstrip() if found else f"{cause(log, code if code > 0 else 128 - code)}\nlog: {log}"


def _report_so_far(arm: Arm, console: Console) -> None:
    """Write the report in a separate process: a failing plot must not end a sweep with hours to go."""
    root = arm.root
    log = root / "report.log"
    with console.status("report"):
        code = _child([sys.executable, "-m", "vcore_verl", "report", str(root)], log, lambda line: None)
    said = f"report so far: {root / 'report'}" if code == 0 else f"no report yet; log: {log}"
    console.print(said, highlight=False, soft_wrap=True)
