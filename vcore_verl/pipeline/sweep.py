"""A sweep: the arms of a recipe - SFT objectives x RL algorithms x training seeds x values of keys - in sequence.

Each arm is a `run` in a separate process. An arm that fails does not stop the others, and the same command given again
skips whatever has finished. Imports no torch.
"""

import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vcore_verl.config import verl_keys
from vcore_verl.config.recipe import Recipe, RecipeError, compared_inits, load
from vcore_verl.config.schema import NONE
from vcore_verl.pipeline.pipeline import Pipeline, Step, require_answer
from vcore_verl.runs import tracking
from vcore_verl.runtime import guard, hardware, process
from vcore_verl.runtime.diagnose import cause, tail
from vcore_verl.runtime.progress import duration

DEFAULTS = {"rls": "grpo", "seeds": "0"}  # and the inits whose objectives are `compared`
_ERROR = "error: "  # prefix of the command line's error messages
_VARIANTS = {"variant": False, "rl.variant": True}  # of SFT and of RL
# Group -> the choice that skips its stage, and the settings that are then dropped from an arm.
_IGNORED = {"init": (NONE, ("init.", "sft.", "model.lora.")), "rl": (NONE, ("rl.",))}


@dataclass(frozen=True)
class Arm:
    """One training run of the comparison, checked; `argv` is the command that brings it up to date."""

    pipeline: Pipeline
    argv: list[str]
    changed_code: str = "ask"

    @property
    def recipe(self) -> Recipe:
        return self.pipeline.recipe

    @property
    def name(self) -> str:
        run = self.pipeline.run_dir
        return f"{run.arm}-{run.rl_arm} seed {self.recipe.seed}"

    @property
    def log(self) -> Path:
        """The output of the arm's command; the stages' own logs are in the same folder."""
        return self.pipeline.run_dir.dir / "logs" / "arm.log"

    def plan(self) -> list[Step]:
        return self.pipeline.plan(changed_code=self.changed_code)

    def missing(self) -> list[Step]:
        """The steps that are not skipped."""
        return [step for step in self.plan() if step.action != "skip"]

    def seconds(self) -> float:
        """Seconds that its SFT, RL and their evaluations have taken so far, over all attempts."""
        return sum(self.pipeline.seconds(stage) for stage in self.pipeline.stages if stage.home != self.root)

    @property
    def root(self) -> Path:
        return self.pipeline.run_dir.root


class Choice(NamedTuple):
    """An override of an arm; `varied` if the key has different values in different arms."""

    key: str
    value: str
    varied: bool


@dataclass(frozen=True)
class Failure:
    """An arm that failed; `reason` may have several lines and names the log."""

    arm: Arm
    reason: str


def arms(recipe_name: str, words: Sequence[str], console: Console, changed_code: str = "ask") -> list[Arm]:
    """The arms given by `words`: `inits=a,b`, `rls=a,b`, `seeds=0,1`, and overrides for all of them.

    An override with several values, `sft.learning_rate=1e-3,2e-3`, makes one arm per value, named by its variant. Arms
    that differ only in keys of RL start from the same SFT.

    All arms of one seed come before those of the next, so that a complete comparison is available early. Settings of
    SFT are dropped from arms without SFT, and those of RL from arms without RL. Raises `RecipeError` if an arm is
    invalid.
    """
    defaults = {"inits": ",".join(compared_inits(recipe_name)), **DEFAULTS}
    chosen = {name: _values(name, words, default) for name, default in defaults.items()}
    overrides = [word for word in words if word.partition("=")[0] not in defaults]
    for word in overrides:
        if word.partition("=")[0] in ("init", "rl", "seed"):
            raise RecipeError(f"'{word}' names a single arm; a comparison takes a list: {word.replace('=', 's=', 1)}")
    for seed in chosen["seeds"]:
        if not seed.isdecimal():
            raise RecipeError(f"seeds={','.join(chosen['seeds'])}: '{seed}' is not a number; write seeds=0,1,2")
    triples = [
        (init, rl, seed)
        for seed, rl, init in itertools.product(chosen["seeds"], chosen["rls"], chosen["inits"])
        if (init, rl) != (NONE, NONE)
    ]
    if not triples:
        raise RecipeError("init=none and rl=none together leave nothing to train: name another init or rl")
    several = len(set(triples)) > len(chosen["seeds"])
    choices = list(itertools.product(*map(_choices, overrides)))
    argvs = dict.fromkeys(_words(triple, settings, several) for triple in triples for settings in choices)
    return [_arm(recipe_name, words, console, changed_code) for words in argvs]


def _choices(word: str) -> list[Choice]:
    """`key=a,b` gives one choice per value, anything else a single one; a list in brackets is one value."""
    key, _, value = word.partition("=")
    several = "," in value and not set(value) & set("[]{}()'\"")
    if several and not key.startswith(("init.", "sft.", "rl.")):
        raise RecipeError(f"'{word}': all arms have the same {key}; only keys of init, sft and rl take several values")
    return [Choice(key, item, several) for item in (value.split(",") if several else [value])]


def _values(name: str, words: Sequence[str], default: str) -> list[str]:
    given = [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]
    if len(given) > 1:
        raise RecipeError(f"{name} is given {len(given)} times; write {name}={','.join(given)}")
    values = (given[0] if given else default).split(",")
    if not all(values):
        raise RecipeError(f"{name}={','.join(values)} has an empty entry; write for example {name}={default}")
    return list(dict.fromkeys(values))


def _words(triple: tuple[str, str, str], settings: Sequence[Choice], drop_ignored: bool) -> tuple[str, ...]:
    """The overrides of one arm. Settings with several values name a variant of its SFT, or of its RL if they are RL's:
    `learning_rate-1e-3`.
    """
    chosen = dict(zip(("init", "rl", "seed"), triple, strict=True))
    ignored = tuple(
        prefix for key, (value, prefixes) in _IGNORED.items() if chosen[key] == value for prefix in prefixes
    )
    kept = [item for item in settings if not (drop_ignored and item.key.startswith(ignored))]
    words = [f"{key}={value}" for key, value in chosen.items()]
    words += [f"{item.key}={item.value}" for item in kept if item.key not in _VARIANTS]
    for name, of_rl in _VARIANTS.items():
        variant = [item.value for item in kept if item.key == name]
        varied = [item for item in kept if item.varied and item.key.startswith("rl.") == of_rl and item.key != name]
        variant += [f"{item.key.rpartition('.')[2]}-{item.value}" for item in varied]
        words += [f"{name}={'+'.join(variant)}"] * bool(variant)
    return tuple(words)


def _arm(recipe_name: str, words: tuple[str, ...], console: Console, changed_code: str) -> Arm:
    recipe = load(recipe_name, list(words))
    verl_keys.check(recipe)
    tracking.check(recipe)
    recipe = hardware.resolve(recipe)
    argv = [sys.executable, "-m", "vcore_verl", "run", recipe_name, *words, "--no-report"]
    argv += [] if changed_code == "ask" else [f"--{changed_code}"]
    return Arm(Pipeline(recipe, console, report=False), argv, changed_code)


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
        if number < len(planned) and planned[number].recipe.seed != arm.recipe.seed:
            _report_so_far(arm, console)
    return failures


def total_seconds(planned: Sequence[Arm]) -> float:
    """The total time of all arms; shared stages count once."""
    seconds = {stage.folder: arm.pipeline.seconds(stage) for arm in planned for stage in arm.pipeline.stages}
    return sum(seconds.values())


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
