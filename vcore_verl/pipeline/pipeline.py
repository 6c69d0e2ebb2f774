"""Runs the stages of a recipe: skips what is done, resumes what was killed, runs anew what a change affects.

SFT that a run with other RL has done from the same things is taken over (`takeover`).

What a stage left behind when it must run anew is moved to `stale/<stage>-<n>` beside the manifest, at the moment the
stage starts, and never deleted: it may be a week of GPU time, and the change that made it stale a slip of the keyboard.
Imports no torch.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from vcore_verl.config.recipe import Recipe, save
from vcore_verl.pipeline import takeover
from vcore_verl.pipeline.stages import Stage, dependencies, stages
from vcore_verl.pipeline.takeover import Source
from vcore_verl.preflight.estimate.allowance import preparation_seconds, stall_seconds
from vcore_verl.runs import lock
from vcore_verl.runs.hashing import Digests
from vcore_verl.runs.layout import ArtefactError, Run
from vcore_verl.runs.manifest import Manifest
from vcore_verl.runtime import process
from vcore_verl.runtime.process import Command, StageFailed
from vcore_verl.runtime.progress import duration, shown

MAX_CHANGES = 3  # named in the reason for a stage to run anew


@dataclass(frozen=True)
class Step:
    """What is to happen to a stage, and why.

    `skip`, `resume`, `run` (never ran), `rerun` (its result is stale), or `take` over the result of another run.
    """

    stage: Stage
    action: str
    reason: str
    source: Source | None = None


class Pipeline:
    """One run of one recipe, whose `hardware.device` is resolved. Raises `RecipeError` where a stage refuses it."""

    def __init__(self, recipe: Recipe, console: Console, stage_list: list[Stage] | None = None) -> None:
        self.recipe = recipe
        self.run_dir = Run(recipe)
        self.console = console
        self.stages = stages(recipe, self.run_dir) if stage_list is None else stage_list
        for stage in self.stages:
            stage.command()  # each checks the recipe: all mistakes are told before the first stage runs
        self.digests = Digests(self.run_dir.root / ".digests.json")
        self.manifests = {shared: Manifest(self._home(shared) / "manifest.json") for shared in (True, False)}
        self.log_dir: Path | None = None

    def plan(self, fresh: bool = False) -> list[Step]:
        """What `execute` would do now; changes nothing. A stage after one that runs follows it."""
        steps: list[Step] = []
        for stage in self.stages:
            step = Step(stage, "rerun", "--fresh") if fresh else self._decide_or_take(stage)
            before = [other for other in steps if other.stage.name in stage.after]
            moving = [other.stage.name for other in before if other.action not in ("skip", "take")]
            if step.action in ("skip", "take") and moving:
                step = Step(stage, "rerun", f"if {' or '.join(moving)} changes its input")
            steps.append(step)
        return steps

    def execute(self, fresh: bool = False) -> None:
        """Bring every stage up to date.

        Raises `StageFailed` when a stage fails or leaves a result that does not verify, `Locked` when another process
        writes the same run. Shared stages are made under a lock of the recipe, which is kept while they are read.
        """
        with lock.exclusive(self._home(False) / ".lock"):
            save(self.recipe, self.run_dir.dir / "recipe.yaml")
            if fresh:
                self._forget_all()
            with lock.shared(self._home(True) / ".lock", self._say_waiting) as base_lock:
                self._make_shared(base_lock)
                for stage in self.stages:
                    if not stage.shared:
                        self._bring_up_to_date(stage, fresh)
            self._copy_shared_records()

    def _forget_all(self) -> None:
        for stage in self.stages:
            self._manifest(stage).forget(stage.name)

    def _make_shared(self, base_lock: lock.Shared) -> None:
        """Bring the stages that all runs share up to date, and keep others from changing them while this run lasts."""
        shared = [stage for stage in self.stages if stage.shared]
        made = False
        while True:  # flock gives up one kind of hold before it takes the other, so look again after each change
            base_lock.read()
            self._reread_shared()
            if all(self._decide(stage).action == "skip" for stage in shared):
                break
            base_lock.write()
            self._reread_shared()
            for stage in shared:
                self._bring_up_to_date(stage)
            made = True
        if not made:
            for stage in shared:
                self._bring_up_to_date(stage)

    def _bring_up_to_date(self, stage: Stage, fresh: bool = False) -> None:
        step = self._decide(stage) if fresh else self._decide_or_take(stage)
        if step.action == "skip":
            self._say(stage, f"[dim]skipped: {step.reason}[/dim]")
            return
        if step.action != "take":
            self._say(stage, f"{stage.purpose} [dim]({step.reason})[/dim]")
        if step.action != "resume" and stage.keep:
            self._move_aside(stage)
        if step.source is not None:
            self._take(stage, step.source)
            return
        manifest = self._manifest(stage)
        manifest.start(stage.name, self._depends(stage))
        seconds = self._run(stage, stage.command())
        try:
            stage.verify()
        except ArtefactError as error:
            raise StageFailed(f"{stage.name} ended, but {error}\nlog: {self._log(stage)}") from error
        manifest.finish(stage.name, self._artefacts(stage))
        self.digests.save()
        self._say(stage, f"[green]done[/green] in {duration(seconds)}")
        for warning in stage.warnings():
            self._say(stage, f"[yellow]warning:[/yellow] {escape(warning)}")
        if stage.tracking is not None:
            self._track(stage, stage.tracking())

    def _track(self, stage: Stage, command: Command) -> None:
        """Log a result in the recipe's trackers; one that cannot be reached is a warning, the result is there."""
        log = self._log(stage).with_suffix(".tracking.log")
        try:
            process.run(command, log, 60 * self.recipe.hardware.stall_minutes, lambda line: None)
        except StageFailed as error:
            reason = ", ".join(str(error).splitlines())
            self._say(stage, f"[yellow]warning:[/yellow] not in the trackers: {escape(reason)}")

    def _take(self, stage: Stage, source: Source) -> None:
        takeover.link(stage, source, self.run_dir, [other.folder for other in self.stages if other is not stage])
        self._manifest(stage).take(stage.name, source.record, str(source.folder))
        self.digests.save()
        seconds = duration(source.record["seconds"])
        self._say(stage, f"[green]taken[/green] from {source.folder}, where it took {seconds}")

    def _decide_or_take(self, stage: Stage) -> Step:
        step = self._decide(stage)
        if step.action in ("run", "rerun"):
            source = takeover.find(stage, self._depends(stage), self.run_dir, self.digests)
            if source is not None:
                return Step(stage, "take", f"from {source.folder}", source)
        return step

    def _decide(self, stage: Stage) -> Step:
        record = self._manifest(stage).stages.get(stage.name)
        depends = self._depends(stage)
        if record is None:
            return Step(stage, "run", "not run yet")
        if changes := _changes(record["depends"], depends):
            return Step(stage, "rerun", changes)
        if record["status"] != "done":
            return Step(stage, "resume", "continues where it was stopped")
        try:
            stage.verify()
        except ArtefactError as error:
            return Step(stage, "rerun", str(error))
        if changes := _changes(record["artefacts"], self._artefacts(stage)):
            return Step(stage, "rerun", f"its result is not as it was left: {changes}")
        where = f" by {record['taken_from']}" if "taken_from" in record else ""
        return Step(stage, "skip", f"done before{where} in {duration(record['seconds'])}")

    def _depends(self, stage: Stage) -> dict[str, Any]:
        return dependencies(stage, self.recipe, self.run_dir, self.digests)

    def _artefacts(self, stage: Stage) -> dict[str, Any]:
        return {path.name: self.digests.of(path) for path in stage.artefacts}

    def _run(self, stage: Stage, command: Command) -> float:
        """Run the stage's command; seconds it took. They are recorded even when it fails, as part of what it cost."""
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
        except StageFailed as error:
            raise StageFailed(f"{stage.name} failed: {error}") from error
        finally:
            seconds = time.monotonic() - start
            self._manifest(stage).add_seconds(stage.name, seconds)
        return seconds

    def _move_aside(self, stage: Stage) -> None:
        if not stage.folder.exists():
            return
        stale = self._home(stage.shared) / "stale"
        stale.mkdir(exist_ok=True)
        target = stale / f"{stage.name}-{_next_number(stale, stage.name + '-')}"
        stage.folder.rename(target)
        self._say(stage, f"[dim]its former result is kept in {target}[/dim]")

    def _log(self, stage: Stage) -> Path:
        """The stage's log in this attempt's directory, which is made when the first stage really starts."""
        if self.log_dir is None:
            logs = self.run_dir.logs
            logs.mkdir(parents=True, exist_ok=True)
            self.log_dir = logs / f"attempt_{_next_number(logs, 'attempt_')}"
            self.log_dir.mkdir()
            latest = logs / "latest"
            latest.unlink(missing_ok=True)
            latest.symlink_to(self.log_dir.name)
        return self.log_dir / f"{stage.name}.log"

    def _home(self, shared: bool) -> Path:
        return self.run_dir.root if shared else self.run_dir.dir

    def _manifest(self, stage: Stage) -> Manifest:
        return self.manifests[stage.shared]

    def _reread_shared(self) -> None:
        self.manifests[True] = Manifest(self._home(True) / "manifest.json")

    def _copy_shared_records(self) -> None:
        """So that a run's own manifest tells the whole of it."""
        own, common = self.manifests[False], self.manifests[True].stages
        own.stages = common | {name: record for name, record in own.stages.items() if name not in common}
        own.save()

    def _title(self, stage: Stage) -> str:
        return f"[{self.stages.index(stage) + 1}/{len(self.stages)}] {stage.name}"

    def _say(self, stage: Stage, text: str) -> None:
        self.console.print(f"{escape(self._title(stage))}: {text}", highlight=False, soft_wrap=True)

    def _say_waiting(self) -> None:
        self.console.print(f"waiting for another run that is using {self.run_dir.base} and {self.run_dir.data} ...")


def without_report(recipe: Recipe) -> list[Stage]:
    """All stages but the report, which belongs to all runs of the recipe."""
    return [stage for stage in stages(recipe, Run(recipe)) if stage.name != "report"]


def _changes(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What differs, in words; empty where nothing does."""
    changed = [key for key in old | new if old.get(key) != new.get(key)]
    words = [_change(key, old.get(key), new.get(key)) for key in changed[:MAX_CHANGES]]
    more = [f"and {len(changed) - MAX_CHANGES} more"] if len(changed) > MAX_CHANGES else []
    return ", ".join(words + more)


def _change(key: str, old: Any, new: Any) -> str:
    is_digest = any(isinstance(value, str) and len(value) == 64 for value in (old, new))
    return f"{key} changed" if is_digest else f"{key} was {old}, is {new}"


def _next_number(directory: Path, prefix: str) -> int:
    numbers = [path.name.removeprefix(prefix) for path in directory.glob(f"{prefix}*")]
    return max((int(number) for number in numbers if number.isdigit()), default=0) + 1
