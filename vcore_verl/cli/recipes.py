"""Verbs on a recipe: run, sweep, data, show, plan, doctor. Imports no torch."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from vcore_verl.cli.output import add_verb, console, say
from vcore_verl.config import verl_keys
from vcore_verl.config.checks import BUILTIN
from vcore_verl.config.composition import names
from vcore_verl.config.recipe import Recipe, RecipeError, load, to_yaml
from vcore_verl.runs import tracking
from vcore_verl.runtime import hardware
from vcore_verl.runtime.process import StageFailed

if TYPE_CHECKING:
    from vcore_verl.pipeline.pipeline import Step
    from vcore_verl.pipeline.sweep import Failure


def add_verbs(verbs: Any) -> None:
    """Add the verbs of this module to the parser."""
    verb = _add_verb(verbs, "run", run)
    verb.add_argument("--dry-run", action="store_true", help="print needs, stages and recipe, start nothing")
    verb.add_argument("--fresh", action="store_true", help="rerun every stage; previous results are kept in stale/")
    verb.add_argument("--no-report", action="store_true", help="skip the report on all runs of the recipe")
    help_ = "evaluate the last checkpoint on the validation set, and nothing on test sets, as tuning does"
    verb.add_argument("--validate", action="store_true", help=help_)
    _add_changed_code(verb)
    words = (
        "inits=vcore,dft rls=grpo seeds=0,1, and keys with one or more values; tune=sft.learning_rate:5e-4,1e-3 lets"
        " each arm choose its value on the validation set at tune_seeds= (default: the first of seeds): keys of init"
        " and sft after SFT (after RL: tune_after=rl), keys of rl after RL"
    )
    verb = _add_verb(verbs, "sweep", sweep, words)
    verb.add_argument(
        "--dry-run", action="store_true", help="print the arms and their unfinished stages, start nothing"
    )
    _add_changed_code(verb)
    _add_verb(verbs, "data", data)
    verb = _add_verb(verbs, "show", show)
    verb.add_argument("--all", action="store_true", help="print every setting, not only what differs from base.yaml")
    _add_verb(verbs, "plan", plan)
    _add_verb(verbs, "doctor", doctor)
    add_verb(verbs, "check-gpu", check_gpu)


def run(args: argparse.Namespace) -> None:
    """run a recipe: base, data, SFT, RL, evaluations, report"""
    recipe = _recipe(args)
    from vcore_verl.pipeline.pipeline import Pipeline
    from vcore_verl.pipeline.validation import validation_stages
    from vcore_verl.runs.layout import Run

    chosen = validation_stages(recipe, Run(recipe)) if args.validate else None
    pipeline = Pipeline(recipe, console, chosen, report=not args.no_report)
    if args.dry_run:
        _print_dry_run(recipe, pipeline.plan(args.fresh, args.changed_code))
        return
    _check(recipe)
    pipeline.execute(args.fresh, args.changed_code)
    if args.validate:
        say(f"evaluated on the validation set: {pipeline.run_dir.validation}")
    elif not args.no_report:
        from vcore_verl.report import terminal_summary

        console.print(terminal_summary(pipeline.run_dir.root))
        say(f"run: {pipeline.run_dir.dir}\nreport: {pipeline.run_dir.report}")


def sweep(args: argparse.Namespace) -> None:
    """train several arms (SFT objectives, RL algorithms, seeds, values of a key) and report on all of them"""
    _require_recipe(args)
    from vcore_verl.pipeline import tune
    from vcore_verl.pipeline.arms import arms, asked_for
    from vcore_verl.pipeline.sweep import print_plan, run_all, total_seconds

    tuning, words = tune.split(args.overrides)
    searches = tune.searches(args.recipe, tuning, words, console, args.changed_code) if tuning else []
    tuning_runs = tune.unique(searches)
    to_tune = [arm for arm in tuning_runs if arm.missing()]
    tuned = tune.first_points(searches) if to_tune else tune.choose(searches)
    planned = arms(args.recipe, words, console, args.changed_code, tuned)
    every = [*tuning_runs, *planned]
    for line in tune.remarks(searches, asked_for(args.recipe, words).kinds) if tuning else ():
        say(line)
    if args.dry_run:
        print_plan(every, console)
        if to_tune:
            say("arms after those that validate are planned with the first value; they run with the best one")
        _print_obstacles(planned[0].recipe, [step for arm in every for step in arm.plan()])
        return
    for arm in every:
        _check(arm.recipe)
    if to_tune:
        say(f"tuning: {len(tuning_runs)} runs, evaluated on the validation set", style="bold")
        _require_success(run_all(tuning_runs, console), "tuning runs")
        planned = arms(args.recipe, words, console, args.changed_code, tune.choose(searches))
    if searches:
        console.print(tune.record(args.recipe, searches))
        say(f"comparison: {len(planned)} arms", style="bold")
    failures = run_all(planned, console)
    _report_on(planned[0].root, complete=not failures)
    hours = total_seconds([*tuning_runs, *planned]) / 3600
    say(f"{len(planned) - len(failures)} of {len(planned)} arms done, {hours:.2f} hours in total")
    _require_success(failures, "arms")


def _report_on(root: Path, complete: bool) -> None:
    """Write the report on all runs below `root` and print its summary; unless `complete`, only where it can."""
    from vcore_verl.report import ReportError, terminal_summary, write_report

    try:
        write_report(root)
        console.print(terminal_summary(root))
        say(f"report: {root / 'report'}")
    except ReportError:
        if complete:
            raise


def _require_success(failures: "list[Failure]", what: str) -> None:
    """Raise `StageFailed` with the reason of each failure, if any."""
    if failures:
        reasons = (f"{failure.arm.name}: {failure.reason}" for failure in failures)
        raise StageFailed("\n".join([f"some {what} failed; run the same command again to retry them", *reasons]))


def data(args: argparse.Namespace) -> None:
    """prepare a recipe's training and test data, and show how many rows each filter dropped"""
    recipe = _recipe(args)
    from vcore_verl.data.command import print_funnels
    from vcore_verl.pipeline.pipeline import Pipeline
    from vcore_verl.pipeline.stages import stages
    from vcore_verl.runs.layout import Run

    run_dir = Run(recipe)
    wanted = {"data", "test_sets"}
    if recipe.model.path.startswith(BUILTIN):  # a model on the hub is needed for its tokenizer only
        wanted.add("base")
    needed = [stage for stage in stages(recipe, run_dir) if stage.name in wanted]
    Pipeline(recipe, console, needed).execute()
    print_funnels(run_dir, console)


def show(args: argparse.Namespace) -> None:
    """print the resolved recipe and the command of every stage"""
    recipe = _recipe(args)
    from vcore_verl.pipeline.stages import stages
    from vcore_verl.runs.layout import Run

    if args.all:
        say(to_yaml(recipe))
    else:
        _print_difference(recipe)
    for stage in stages(recipe, Run(recipe)):
        say(f"# {stage.name}: {stage.purpose}", style="bold")
        say(" ".join(map(_quoted, stage.command().argv)))


def plan(args: argparse.Namespace) -> None:
    """estimate what a recipe needs: memory, disk, tokens, hours"""
    recipe = _recipe(args)
    from vcore_verl.preflight.estimate import print_plan

    print_plan(recipe, console)


def doctor(args: argparse.Namespace) -> int:
    """check whether a recipe (default: tiny) can run on this machine, and say what to do if it cannot"""
    recipe = hardware.resolve(load(args.recipe or "tiny", args.overrides))
    from vcore_verl.preflight.doctor import examine, print_findings

    findings = list(examine(recipe))
    say(f"recipe {recipe.name} on this machine", style="bold")
    print_findings(findings, console)
    return int(any(finding.level == "error" for finding in findings))


def check_gpu(args: argparse.Namespace) -> int:
    """check what this machine's GPU computes, and measure SFT's steps on it, for `plan`; minutes, needs no hub"""
    from vcore_verl.sft.gpu_check.command import run

    return int(not run(console))


def _add_verb(verbs: Any, name: str, call: Any, words: str = "") -> argparse.ArgumentParser:
    verb = add_verb(verbs, name, call)
    verb.add_argument(
        "recipe", nargs="?", metavar="RECIPE", help=f"one of: {', '.join(names())}; or a file: ./mine.yaml"
    )
    words = words or "for example init=dft seed=1 sft.steps=50"
    verb.add_argument("overrides", nargs="*", metavar="key=value", help=words)
    return verb


def _add_changed_code(verb: argparse.ArgumentParser) -> None:
    answers = verb.add_mutually_exclusive_group()
    for answer, what in (("rerun", "rerun them"), ("keep", "keep their results, and record that")):
        answers.add_argument(
            f"--{answer}",
            dest="changed_code",
            action="store_const",
            const=answer,
            default="ask",
            help=f"if only the code of finished stages has changed: {what}",
        )


def _require_recipe(args: argparse.Namespace) -> None:
    if args.recipe is None:
        raise RecipeError(f"which recipe? known recipes: {', '.join(names())}")


def _recipe(args: argparse.Namespace) -> Recipe:
    """Load and check the recipe given on the command line, and resolve its device."""
    _require_recipe(args)
    recipe = load(args.recipe, args.overrides)
    verl_keys.check(recipe)
    tracking.check(recipe)
    return hardware.resolve(recipe)


def _print_dry_run(recipe: Recipe, steps: "list[Step]") -> None:
    from vcore_verl.preflight.estimate import UnknownArchitecture, print_plan

    try:
        print_plan(recipe, console)
    except UnknownArchitecture as error:
        say(str(error), style="yellow")
    console.print()
    table = Table("stage", "purpose", "plan", "why", box=None, title_justify="left")
    for step in steps:
        table.add_row(step.stage.name, step.stage.purpose, step.action, step.reason)
    console.print(table)
    _print_difference(recipe)
    _print_obstacles(recipe, steps)


def _check(recipe: Recipe) -> None:
    """Raise `RecipeError` where this machine cannot run the recipe."""
    if reason := _obstacle(recipe):
        raise RecipeError(reason)


def _obstacle(recipe: Recipe) -> str | None:
    from vcore_verl.preflight.obstacles import obstacle_here

    return hardware.obstacle(recipe) or obstacle_here(recipe)


def _print_difference(recipe: Recipe) -> None:
    from vcore_verl.config.diff import difference

    groups = f"init/{recipe.init.name}.yaml and rl/{recipe.rl.name}.yaml"
    say(f"\n# differs from recipes/base.yaml, {groups}", style="bold")
    say(difference(recipe))


def _print_obstacles(recipe: Recipe, steps: "list[Step]") -> None:
    from vcore_verl.pipeline.pipeline import CodeChanged

    reasons = [_obstacle(recipe), str(CodeChanged(steps)) if any(s.action == "ask" for s in steps) else None]
    for reason in filter(None, reasons):
        say(f"would not start: {reason}", style="yellow")


def _quoted(word: str) -> str:
    """Quote `word` for a shell: in double quotes if it contains single ones, as verl's overrides do."""
    return f'"{word}"' if "'" in word and not set('"$`\\!') & set(word) else shlex.quote(word)
