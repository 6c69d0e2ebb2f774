"""Runs the stages of a recipe: skips finished, resumes killed, and reruns stale ones. Imports no torch.

Each stage belongs to a home folder: that of the recipe (base model, data), of an SFT run, or of an RL run that starts
from it. Runs that share a home build it once and use it concurrently, under a lock.

When a stage has to rerun, its previous result is moved to `stale/<stage>-<n>` in its home as the stage starts, and
never deleted: it may have taken a week of GPU time, and the change that made it stale may be a typo.
"""

import shutil
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from vcore_verl.config.errors import InputError
from vcore_verl.config.recipe import Recipe, save
from vcore_verl.pipeline.stage import UNTIL_FINISHED, Stage, dependencies
from vcore_verl.pipeline.stages import stages
from vcore_verl.preflight.estimate.allowance import preparation_seconds, stall_seconds
from vcore_verl.runs import lock
from vcore_verl.runs.hashing import Digests
from vcore_verl.runs.layout import MANIFEST, RECIPE, ArtefactError, Run
from vcore_verl.runs.manifest import Manifest, changed, changes, some
from vcore_verl.runs.migrate import former_runs_line
from vcore_verl.runtime import process
from vcore_verl.runtime.progress import duration, shown

MOVING = ("resume", "run", "rerun")  # actions that change a stage's result


@dataclass(frozen=True)
class Step:
    """What to do with a stage, and why.

    `action` is `skip`, `resume`, `run` (never ran), `rerun` (stale), `keep` (although code has changed), or `ask`.
    """

    stage: Stage
    action: str
    reason: str


class CodeChanged(InputError):
    """Only code has changed since results were made; the user has to decide whether they are still valid."""

    def __init__(self, steps: Iterable[Step]) -> None:
        asked = dict.fromkeys(f"  {s.stage.name} ({s.stage.folder}): {s.reason}" for s in steps if s.action == "ask")
        lines = "\n".join(asked)
        super().__init__(
            f"code has changed since these results were made:\n{lines}\n"
            "add --rerun to rerun these stages, or --keep to keep their results, recorded as made by other code"
        )


def require_answer(steps: Collection[Step]) -> None:
    """Raise `CodeChanged` if any step has the action `ask`."""
    if any(step.action == "ask" for step in steps):
        raise CodeChanged(steps)


class Pipeline:
    """One run of one recipe, whose `hardware.device` is resolved.

    Raises `RecipeError` if a stage rejects the recipe, `InputError` if its runs have the old layout.
    """

    def __init__(
        self, recipe: Recipe, console: Console, stage_list: list[Stage] | None = None, report: bool = True
    ) -> None:
        self.recipe = recipe
        self.run_dir = Run(recipe)
        self.console = console
        self.digests = Digests(self.run_dir.root / ".digests.json")
        found = stage_list or stages(recipe, self.run_dir, self.digests)
        self.stages = [stage for stage in found if report or stage.name != "report"]
        for stage in self.stages:
            stage.command()  # checks the recipe, so that errors are reported before the first stage runs
        if line := former_runs_line(self.run_dir.root):
            raise InputError(line)
        self.changed_code = "ask"
        self.manifests: dict[Path, Manifest] = {}
        self.log_dirs: dict[Path, Path] = {}

    def plan(self, fresh: bool = False, changed_code: str = "ask") -> list[Step]:
        """What `execute` would do now; changes nothing. Stages that depend on one that runs are planned to rerun.

        `changed_code` is the action if only the code of a result has changed: "ask", "rerun" or "keep".
        """
        self.changed_code = changed_code
        self.manifests.clear()
        steps: list[Step] = []
        for stage in self.stages:
            step = Step(stage, "rerun", "--fresh") if fresh else self._decide(stage)
            moving = [s.stage.name for s in steps if s.stage.name in stage.after and s.action in MOVING]
            if step.action not in MOVING and moving:
                step = Step(stage, "rerun", f"if {' or '.join(moving)} changes its input")
            steps.append(step)
        return steps

    def execute(self, fresh: bool = False, changed_code: str = "ask") -> None:
        """Bring every stage up to date, one home after the other.

        Raises `StageFailed` if a stage fails or its result does not verify, `Locked` if another process writes the same
        RL run, and `CodeChanged`, before anything starts, if `plan` has a stage to ask about. A shared home is locked
        for writing while its stages run, and for reading until the end.
        """
        require_answer(self.plan(fresh, changed_code))
        homes = dict.fromkeys(stage.home for stage in self.stages)
        with ExitStack() as held:
            if self.run_dir.rl_home in homes:
                held.enter_context(lock.exclusive(self.run_dir.rl_home / ".lock"))
            for home in homes:
                if home == self.run_dir.rl_home:
                    self._bring_up_to_date(home, fresh)
                else:
                    waiting = partial(self._print, f"waiting for another run that is using {home} ...")
                    self._share(home, held.enter_context(lock.shared(home / ".lock", waiting)), fresh)

    def seconds(self, stage: Stage) -> float:
        """Seconds that `stage` has taken so far, over all attempts."""
        return Manifest(stage.home / MANIFEST).seconds(stage.name)

    def _share(self, home: Path, hold: Callable[[int], None], fresh: bool) -> None:
        """Bring the stages of a shared home up to date, and keep other runs from changing them until this run ends."""
        made = False
        while True:  # converting a flock is not atomic (it is released in between), so check again after each
            hold(lock.READ)
            self.manifests.pop(home, None)
            if not fresh and all(self._decide(stage).action == "skip" for stage in self.stages if stage.home == home):
                break
            hold(lock.WRITE)
            self._bring_up_to_date(home, fresh)
            made, fresh = True, False
        if not made:
            self._bring_up_to_date(home, fresh)

    def _bring_up_to_date(self, home: Path, fresh: bool) -> None:
        self.manifests.pop(home, None)  # another run may have changed it
        stages_here = [stage for stage in self.stages if stage.home == home]
        for stage in stages_here if fresh else ():
            self._manifest(stage).forget(stage.name)
        for stage in stages_here:
            self._carry_out(self._decide(stage))

    def _carry_out(self, step: Step) -> None:
        stage, manifest = step.stage, self._manifest(step.stage)
        require_answer([step])
        if step.action == "keep":
            manifest.keep(stage.name, stage.code())
        if step.action in ("skip", "keep"):
            self._say(stage, f"[dim]{'skipped' if step.action == 'skip' else 'kept'}: {step.reason}[/dim]")
            return
        self._say(stage, f"{stage.purpose} [dim]({step.reason})[/dim]")
        if step.action != "resume" and stage.keep:
            self._put_aside(stage)
        if stage.home != self.run_dir.report:  # it covers runs with different settings
            save(self.recipe, stage.home / RECIPE)
        manifest.start(stage.name, self._depends(stage), stage.code(), resumed=step.action == "resume")
        seconds = self._run(stage, stage.command())
        try:
            stage.verify()
        except ArtefactError as error:
            raise process.StageFailed(f"{stage.name} ended, but {error}\nlog: {self._log(stage)}") from error
        manifest.finish(stage.name, self._artefacts(stage))
        self.digests.save()
        self._say(stage, f"[green]done[/green] in {duration(seconds)}")
        for remark in stage.remarks():
            self._say(stage, remark)
        for warning in stage.warnings():
            self._say(stage, f"[yellow]warning:[/yellow] {escape(warning)}")
        if stage.tracking is not None:
            self._track(stage, stage.tracking())

    def _track(self, stage: Stage, command: process.Command) -> None:
        """Log a result to the recipe's trackers; an unreachable tracker only gives a warning."""
        log = self._log(stage).with_suffix(".tracking.log")
        try:
            process.run(command, log, 60 * self.recipe.hardware.stall_minutes, lambda line: None)
        except process.StageFailed as error:
            reason = ", ".join(str(error).splitlines())
            self._say(stage, f"[yellow]warning:[/yellow] not logged to the trackers: {escape(reason)}")

    def _decide(self, stage: Stage) -> Step:
        record = self._manifest(stage).stages.get(stage.name)
        if record is None:
            return Step(stage, "run", "not run yet")
        finished = record["status"] == "done"
        if why := changes(record["depends"], self._depends(stage), without=UNTIL_FINISHED if finished else set()):
            return Step(stage, "rerun", why)
        if finished and (fault := self._fault(stage, record)):
            return Step(stage, "rerun", fault)
        if "code" in record and (files := sorted(changed(record["code"], stage.code()))):
            return self._decide_on_code(stage, f"{some(files)} changed", finished)
        if not finished:
            return Step(stage, "resume", "continues where it was stopped")
        made_by = " by other code" if "made_by" in record else ""
        return Step(stage, "skip", f"already done{made_by} in {duration(record['seconds'])}")

    def _decide_on_code(self, stage: Stage, reason: str, finished: bool) -> Step:
        """Cheap stages (not `keep`) rerun; for the others the user decides."""
        if not stage.keep or self.changed_code == "rerun":
            return Step(stage, "rerun", reason)
        if self.changed_code == "ask":
            return Step(stage, "ask", reason)
        return Step(stage, "keep", reason) if finished else Step(stage, "resume", f"continues, although {reason}")

    def _fault(self, stage: Stage, record: dict[str, Any]) -> str:
        """What is wrong with a finished stage's result; empty if nothing is."""
        try:
            stage.verify()
        except ArtefactError as error:
            return str(error)
        why = changes(record["artefacts"], self._artefacts(stage))
        return f"its result was modified: {why}" if why else ""

    def _depends(self, stage: Stage) -> dict[str, Any]:
        return dependencies(stage, self.recipe, self.run_dir, self.digests)

    def _artefacts(self, stage: Stage) -> dict[str, Any]:
        return {path.name: self.digests.of(path) for path in stage.artefacts}

    def _run(self, stage: Stage, command: process.Command) -> float:
        """Run the stage's command and return its seconds, which are recorded as cost even if it fails."""
        start = time.monotonic()
        try:
            with shown(self.console, self._title(stage), command) as on_progress:
                process.run(
                    command,
                    self._log(stage),
                    stall_seconds(self.recipe, stage.name),
                    on_progress,
                    preparation_seconds(self.recipe, stage.name),
                )
        except process.StageFailed as error:
            raise process.StageFailed(f"{stage.name} failed: {error}") from error
        finally:
            seconds = time.monotonic() - start
            self._manifest(stage).add_seconds(stage.name, seconds)
        return seconds

    def _put_aside(self, stage: Stage) -> None:
        """Move the previous result to `stale/`, or copy it there if the stage adds to it."""
        paths = [path for path in stage.own or (stage.folder,) if path.exists()]
        if not paths:
            return
        stale = stage.home / "stale"
        target = stale / f"{stage.name}-{_next_number(stale, stage.name + '-')}"
        (target if stage.own else stale).mkdir(parents=True, exist_ok=True)
        for path in paths:
            place = target / path.name if stage.own else target
            if self._adds(stage):
                shutil.copytree(path, place)
            else:
                path.rename(place)
        self._say(stage, f"[dim]its previous result is kept in {target}[/dim]")

    def _adds(self, stage: Stage) -> bool:
        """Whether only what the stage `extends` has changed since it was done."""
        record = self._manifest(stage).stages.get(stage.name, {})
        if not stage.extends or record.get("status") != "done" or changed(record.get("code", {}), stage.code()):
            return False
        return not changed(record["depends"], self._depends(stage), without=stage.extends)

    def _log(self, stage: Stage) -> Path:
        """The stage's log in this attempt's directory, which is created when the first stage of the home starts.

        SFT and RL runs hold their own logs; those of stages shared by the whole recipe are in the run that ran them.
        """
        home = stage.home if stage.home in (self.run_dir.sft_home, self.run_dir.rl_home) else self.run_dir.dir
        if home not in self.log_dirs:
            logs = home / "logs"
            self.log_dirs[home] = logs / f"attempt_{_next_number(logs, 'attempt_')}"
            self.log_dirs[home].mkdir(parents=True)
            latest = logs / "latest"
            latest.unlink(missing_ok=True)
            latest.symlink_to(self.log_dirs[home].name)
        return self.log_dirs[home] / f"{stage.name}.log"

    def _manifest(self, stage: Stage) -> Manifest:
        if stage.home not in self.manifests:
            self.manifests[stage.home] = Manifest(stage.home / MANIFEST)
        return self.manifests[stage.home]

    def _title(self, stage: Stage) -> str:
        return f"[{self.stages.index(stage) + 1}/{len(self.stages)}] {stage.name}"

    def _say(self, stage: Stage, text: str) -> None:
        self._print(f"{escape(self._title(stage))}: {text}")

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)


def _next_number(directory: Path, prefix: str) -> int:
    numbers = [path.name.removeprefix(prefix) for path in directory.glob(f"{prefix}*")]
    return max((int(number) for number in numbers if number.isdigit()), default=0) + 1
