"""The command line: `python -m vcore_verl VERB ...`. Imports no torch.

Each verb imports what it runs once the recipe has been read, so that a mistake in it is told at once.
"""

import argparse
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from vcore_verl.config import verl_keys
from vcore_verl.config.errors import InputError
from vcore_verl.config.recipe import BUILTIN, Recipe, RecipeError, load, names, to_yaml
from vcore_verl.runs.lock import Locked
from vcore_verl.runtime import hardware, process
from vcore_verl.runtime.process import StageFailed
from vcore_verl.runtime.progress import shown

if TYPE_CHECKING:
    from vcore_verl.pipeline.pipeline import Step

BAD_INPUT = 2
INTERRUPTED = 130
EVALUATION_STALL_SECONDS = 30 * 60.0  # as hardware.stall_minutes in recipes/base.yaml
COMPARE_HELP = (
    "a recipe's name, with inits=vcore,dft rls=grpo seeds=0,1,2 and overrides for all arms; or folders with"
    " results.json, the first of which is the reference (write ./NAME for a folder called like a recipe)"
)

console = Console(width=None if sys.stdout.isatty() else 120)  # a file or a pipe has no width of its own


def main(argv: list[str] | None = None) -> int:
    """Run one verb; its exit code. What went wrong is said on stderr."""
    words = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="python -m vcore_verl",
        description="Supervised fine-tuning, then reinforcement learning, from one recipe.",
        epilog="\n".join(f"{name:8} {verb.__doc__}" for name, verb in VERBS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help=", ".join(VERBS))
    verb = parser.parse_args(words[:1]).verb
    signal.signal(signal.SIGINT, _interrupt)  # a shell script starts its background jobs with it ignored
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, _interrupt)
    try:
        return VERBS[verb](words[1:])
    except (InputError, Locked) as error:
        return _fail(str(error), BAD_INPUT)
    except StageFailed as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("stopped; the same command continues from here", INTERRUPTED)


def run(words: list[str]) -> int:
    """run a recipe: base, data, SFT, RL, evaluations, report"""
    parser = _parser("run", run)
    parser.add_argument("--dry-run", action="store_true", help="print plan, stages and recipe, start nothing")
    parser.add_argument("--fresh", action="store_true", help="run every stage anew; former results are kept aside")
    parser.add_argument("--no-report", action="store_true", help="leave out the report on all runs of the recipe")
    args, recipe = _recipe(parser, words)
    from vcore_verl.pipeline.pipeline import Pipeline, without_report

    if args.dry_run:
        steps = Pipeline(recipe, console).plan(args.fresh)
        _print_needs(recipe)
        _print_steps(steps)
        _print_difference(recipe)
        if reason := hardware.obstacle(recipe):
            console.print(f"would not start: {reason}", style="yellow", highlight=False, soft_wrap=True)
        return 0
    hardware.check(recipe)
    pipeline = Pipeline(recipe, console, without_report(recipe) if args.no_report else None)
    pipeline.execute(args.fresh)
    if args.no_report:
        return 0
    from vcore_verl.report import terminal_summary

    console.print(terminal_summary(pipeline.run_dir.root))
    console.print(f"run: {pipeline.run_dir.dir}\nreport: {pipeline.run_dir.report}", highlight=False, soft_wrap=True)
    return 0


def data(words: list[str]) -> int:
    """prepare a recipe's training and test data, and show how many rows each filter dropped"""
    _, recipe = _recipe(_parser("data", data), words)
    from vcore_verl.data.command import print_funnels
    from vcore_verl.pipeline.pipeline import Pipeline
    from vcore_verl.pipeline.stages import stages
    from vcore_verl.runs.layout import Run

    run_dir = Run(recipe)
    wanted = {"base", "data"} if recipe.model.path.startswith(BUILTIN) else {"data"}  # a hub's tokenizer is enough
    needed = [stage for stage in stages(recipe, run_dir) if stage.name in wanted]
    Pipeline(recipe, console, needed).execute()
    print_funnels(run_dir, console)
    return 0


def show(words: list[str]) -> int:
    """print the resolved recipe and the command of every stage"""
    parser = _parser("show", show)
    parser.add_argument("--all", action="store_true", help="print every setting, not only what differs from base.yaml")
    args, recipe = _recipe(parser, words)
    from vcore_verl.pipeline.stages import stages
    from vcore_verl.runs.layout import Run

    if args.all:
        console.print(to_yaml(recipe), markup=False, highlight=False, soft_wrap=True)
    else:
        _print_difference(recipe)
    for stage in stages(recipe, Run(recipe)):
        console.print(f"# {stage.name}: {stage.purpose}", markup=False, highlight=False, style="bold")
        console.print(" ".join(map(_quoted, stage.command().argv)), markup=False, highlight=False, soft_wrap=True)
    return 0


def plan(words: list[str]) -> int:
    """print what a recipe needs: memory, disk, tokens, hours"""
    _, recipe = _recipe(_parser("plan", plan), words)
    from vcore_verl.preflight.estimate import print_plan

    print_plan(recipe, console)
    return 0


def doctor(words: list[str]) -> int:
    """say whether a recipe can run on this machine, and what to do where it cannot"""
    args = _parser("doctor", doctor).parse_intermixed_args(words)
    recipe = hardware.resolve(load(args.recipe or "tiny", args.overrides))
    from vcore_verl.preflight.doctor import examine, print_findings

    findings = list(examine(recipe))
    console.print(f"recipe {recipe.name} on this machine", style="bold", highlight=False)
    print_findings(findings, console)
    return int(any(finding.level == "blocks" for finding in findings))


def report(words: list[str]) -> int:
    """compare all runs of a recipe, from what they left on disk"""
    parser = argparse.ArgumentParser(prog="python -m vcore_verl report", description=report.__doc__)
    parser.add_argument("recipe", help="a recipe, or its directory of runs")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="a copy of report.md, its pictures and comparison.json, to keep"
    )
    from vcore_verl.report import REFERENCE, keep, terminal_summary, write_report

    parser.add_argument(
        "--against", metavar="INIT", default=REFERENCE, help="initialiser to compare the others with (%(default)s)"
    )
    args = parser.parse_args(words)
    place = Path(args.recipe)
    root = place if place.is_dir() else Path(load(str(place), []).output_dir) / place
    if not root.is_dir():
        raise RecipeError(f"{root} does not exist: run the recipe first")
    write_report(root, args.against)
    console.print(terminal_summary(root, args.against))
    console.print(f"report: {root / 'report'}", highlight=False, soft_wrap=True)
    if args.output:
        keep(root, args.output)
        console.print(f"kept: {args.output}", highlight=False, soft_wrap=True)
    return 0


def evaluate(words: list[str]) -> int:
    """evaluate any checkpoint on data sets or benchmarks"""
    from vcore_verl.evaluation.export import export
    from vcore_verl.evaluation.standalone import asked_of

    asked = asked_of(words)
    if asked.command:
        asked.folder.mkdir(parents=True, exist_ok=True)
        with shown(console, "evaluate", asked.command) as on_progress:
            process.run(asked.command, asked.folder / "evaluation.log", EVALUATION_STALL_SECONDS, on_progress)
    from vcore_verl.report.versus import versus

    console.print(versus([asked.folder]))
    console.print(f"results: {asked.folder}", highlight=False, soft_wrap=True)
    if asked.layout:
        export(asked.folder, asked.layout, asked.folder / asked.layout)
        console.print(f"as {asked.layout} writes them: {asked.folder / asked.layout}", highlight=False, soft_wrap=True)
    return 0


def view(words: list[str]) -> int:
    """show a prompt before and after RL, and across initialisers; `view weights RUN`: tokens by their weight"""
    if words[:1] == ["weights"]:
        from vcore_verl.sft.view import view_weights

        view_weights(words[1:], console)
        return 0
    from vcore_verl.report.view import view as show_prompts

    show_prompts(words, console)
    return 0


def compare(words: list[str]) -> int:
    """run the missing arms of a recipe and report on them all; or compare evaluations by their folders"""
    parser = argparse.ArgumentParser(prog="python -m vcore_verl compare", description=compare.__doc__)
    parser.add_argument("what", nargs="+", metavar="RECIPE [key=value ...] | FOLDER ...", help=COMPARE_HELP)
    parser.add_argument("--dry-run", action="store_true", help="of a recipe: print its arms and start nothing")
    args = parser.parse_intermixed_args(words)
    first, *others = args.what
    if first.partition("-")[0] in names():  # as `load` reads it
        return _compare_arms(first, others, args.dry_run)
    if not Path(first).is_dir():
        raise RecipeError(f"{first} is neither a recipe nor a folder; known recipes: {', '.join(names())}")
    from vcore_verl.report.versus import versus

    console.print(versus([Path(name) for name in args.what]))
    return 0


def _compare_arms(recipe_name: str, words: list[str], dry_run: bool) -> int:
    from vcore_verl.pipeline.sweep import arms, print_plan, run_all, total_seconds

    planned = arms(recipe_name, words, console)
    if dry_run:
        print_plan(planned, console)
        if reason := hardware.obstacle(planned[0].recipe):
            console.print(f"would not start: {reason}", style="yellow", highlight=False, soft_wrap=True)
        return 0
    for arm in planned:
        hardware.check(arm.recipe)
    failures = run_all(planned, console)
    from vcore_verl.report import ReportError, terminal_summary, write_report

    root = planned[0].pipeline.run_dir.root
    try:
        write_report(root)
        console.print(terminal_summary(root))
        console.print(f"report: {root / 'report'}", highlight=False, soft_wrap=True)
    except ReportError:
        if not failures:
            raise
    hours = total_seconds(planned) / 3600
    console.print(f"{len(planned) - len(failures)} of {len(planned)} arms done, {hours:.2f} hours in all")
    if failures:
        reasons = (f"{failure.arm.name}: {failure.reason}" for failure in failures)
        return _fail("\n".join(["some arms failed; the same command tries them again", *reasons]), 1)
    return 0


VERBS: dict[str, Callable[[list[str]], int]] = {
    "run": run,
    "data": data,
    "show": show,
    "plan": plan,
    "doctor": doctor,
    "report": report,
    "eval": evaluate,
    "view": view,
    "compare": compare,
}


def _parser(verb: str, function: Callable[[list[str]], int]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m vcore_verl {verb}", description=function.__doc__)
    parser.add_argument("recipe", nargs="?", help=f"one of: {', '.join(names())}")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for example init=dft seed=1 sft.steps=50")
    return parser


def _recipe(parser: argparse.ArgumentParser, words: list[str]) -> tuple[argparse.Namespace, Recipe]:
    """The parsed words, and the recipe they name with its device decided."""
    args = parser.parse_intermixed_args(words)
    if args.recipe is None:
        raise RecipeError(f"which recipe? known recipes: {', '.join(names())}")
    recipe = load(args.recipe, args.overrides)
    verl_keys.check(recipe)
    return args, hardware.resolve(recipe)


def _print_steps(steps: "list[Step]") -> None:
    table = Table("stage", "purpose", "plan", "why", box=None, title_justify="left")
    for step in steps:
        table.add_row(step.stage.name, step.stage.purpose, step.action, step.reason)
    console.print(table)


def _quoted(word: str) -> str:
    """`word` for a shell, in double quotes where it has single ones, as verl's overrides do."""
    return f'"{word}"' if "'" in word and not set('"$`\\!') & set(word) else shlex.quote(word)


def _print_needs(recipe: Recipe) -> None:
    from vcore_verl.preflight.estimate import UnknownArchitecture, print_plan

    try:
        print_plan(recipe, console)
    except UnknownArchitecture as error:
        console.print(str(error), style="yellow", markup=False, highlight=False, soft_wrap=True)
    console.print()


def _print_difference(recipe: Recipe) -> None:
    from vcore_verl.config.diff import difference

    groups = f"init/{recipe.init.name}.yaml and rl/{recipe.rl.name}.yaml"
    console.print(f"\n# differs from recipes/base.yaml, {groups}", highlight=False, style="bold", soft_wrap=True)
    console.print(difference(recipe), markup=False, highlight=False, soft_wrap=True)


def _fail(message: str, code: int) -> int:
    Console(stderr=True).print(f"error: {message}", markup=False, highlight=False, soft_wrap=True)
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
