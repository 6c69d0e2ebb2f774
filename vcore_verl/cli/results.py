"""Verbs on existing runs: reports, comparisons, single prompts and tokens, evaluations. Imports no torch."""

import argparse
from pathlib import Path
from typing import Any

from vcore_verl.cli.output import add_verb, console, say
from vcore_verl.config.composition import is_recipe
from vcore_verl.config.recipe import RecipeError, load
from vcore_verl.runs.layout import Run
from vcore_verl.runtime import process
from vcore_verl.runtime.progress import shown

EVALUATION_STALL_SECONDS = 30 * 60.0  # as hardware.stall_minutes in recipes/base.yaml


def add_verbs(verbs: Any) -> None:
    """Add the verbs of this module to the parser."""
    verb = add_verb(verbs, "report", report)
    verb.add_argument("recipe", metavar="RECIPE", help="a recipe, or its directory of runs")
    verb.add_argument(
        "--against", metavar="INIT", help="SFT objective to compare the others with (default: sft, tuned if it was)"
    )

    verb = add_verb(verbs, "compare", compare)
    help_ = "a folder with results.json, or a run (its last evaluation); the first is the reference"
    verb.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help=help_)

    verb = add_verb(verbs, "view", view)
    verb.add_argument("run", type=Path, metavar="RUN", help="runs/<recipe>, or a run below it")
    verb.add_argument("--prompt", metavar="ID", help="show every response to this prompt")
    verb.add_argument("--all", action="store_true", help="show every sample, not only the first of each outcome")

    verb = add_verb(verbs, "view weights", view_weights)
    verb.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="a run with SFT; several are shown side by side"
    )
    verb.add_argument(
        "--at",
        choices=("start", "end"),
        default="end",
        help="use the model at the start or the end of SFT (default: end)",
    )
    verb.add_argument("--examples", type=int, default=4, metavar="N", help="examples shown (default: 4)")
    verb.add_argument(
        "--measured",
        type=int,
        default=64,
        metavar="N",
        help="examples measured for the table of token kinds (default: 64)",
    )
    verb.add_argument("--output", type=Path, metavar="FILE", help="the page (default: weights.html in the first RUN)")

    verb = add_verb(verbs, "migrate", migrate)
    verb.add_argument("runs", type=Path, metavar="RUNS", help="runs/<recipe>, or runs for all recipes")

    _add_readiness(verbs)
    verb = add_verb(verbs, "eval", evaluate)
    help_ = "a directory in Hugging Face format, a hub id, or the folder of a finished evaluation"
    verb.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help=help_)
    help_ = "data sets of the recipe (default: all), benchmarks, or parquet files in verl's RL row format"
    verb.add_argument("datasets", nargs="*", metavar="DATASET", help=help_)
    verb.add_argument("--recipe", help="recipe that sets the decoding (default: that of the checkpoint's run)")
    verb.add_argument(
        "--output", type=Path, metavar="FOLDER", help="folder for the results (default: one in runs/evaluations)"
    )
    verb.add_argument("--export", metavar="LAYOUT", help="also write the results in this layout (lm_eval)")


def _add_readiness(verbs: Any) -> None:
    verb = add_verb(verbs, "readiness", readiness)
    help_ = "a checkpoint in Hugging Face format, an SFT run, an RL run (its start), or runs/<recipe> (all its RL runs)"
    verb.add_argument("places", nargs="+", type=Path, metavar="CHECKPOINT_OR_RUN", help=help_)
    verb.add_argument("--prompts", type=int, default=64, metavar="N", help="RL prompts answered (default: 64)")
    verb.add_argument("--samples", type=int, default=16, metavar="N", help="answers per prompt (default: 16)")
    verb.add_argument(
        "--recipe", help="recipe that sets RL prompts and decoding (default: that of the checkpoint's run)"
    )


def report(args: argparse.Namespace) -> None:
    """write the report that compares all runs of a recipe"""
    place = Path(args.recipe)
    root = place if place.is_dir() else Run(load(args.recipe, [])).root
    if not root.is_dir():
        raise RecipeError(f"{root} does not exist: run the recipe first")
    from vcore_verl.report import terminal_summary, write_report

    write_report(root, args.against)
    console.print(terminal_summary(root, args.against))
    say(f"report: {root / 'report'}")


def compare(args: argparse.Namespace) -> None:
    """compare evaluations of any checkpoints, given their folders"""
    for folder in args.folders:
        if not folder.is_dir():
            hint = f"; to train arms of the recipe: sweep {folder}" if is_recipe(str(folder)) else ""
            raise RecipeError(f"{folder} is not a folder{hint}")
    from vcore_verl.report.versus import versus

    console.print(versus(args.folders))


def view(args: argparse.Namespace) -> None:
    """show the prompts that RL (without RL: SFT) gained and lost, or all responses to one prompt"""
    from vcore_verl.report.view import view as show_prompts

    console.print(show_prompts(args.run, args.prompt, args.all))


def view_weights(args: argparse.Namespace) -> None:
    """show training examples with each token coloured by its weight in the run's SFT objective"""
    from vcore_verl.sft.view import view_weights as show_weights

    output = args.output or args.runs[0] / "weights.html"
    with console.status("weighing tokens"):
        show_weights(args.runs, args.at, args.examples, args.measured, output)
    say(f"page: {output}")


def migrate(args: argparse.Namespace) -> None:
    """move runs of an earlier version to the current layout; deletes nothing"""
    from vcore_verl.runs.migrate import migrate as move

    lines = [line for root in (args.runs, *sorted(args.runs.glob("*"))) for line in move(root)]
    for line in lines or [f"{args.runs}: no run has the old layout"]:
        say(line)


def evaluate(args: argparse.Namespace) -> None:
    """evaluate any checkpoint on data sets or benchmarks"""
    from vcore_verl.evaluation.export import LAYOUTS, export
    from vcore_verl.evaluation.job import EvaluationError
    from vcore_verl.evaluation.standalone import asked_of
    from vcore_verl.report.versus import versus

    if args.export not in (None, *LAYOUTS):
        raise EvaluationError(f"--export {args.export} is not known; choose one of {', '.join(LAYOUTS)}")
    folder, command = asked_of(args.checkpoint, args.datasets, args.recipe, args.output)
    if command:
        folder.mkdir(parents=True, exist_ok=True)
        with shown(console, "evaluate", command) as on_progress:
            process.run(command, folder / "evaluation.log", EVALUATION_STALL_SECONDS, on_progress)
    console.print(versus([folder]))
    say(f"results: {folder}")
    if args.export:
        export(folder, args.export, folder / args.export)
        say(f"{args.export} layout: {folder / args.export}")


def readiness(args: argparse.Namespace) -> None:
    """measure before RL what checkpoints give it; over finished RL runs, what goes with their accuracy after RL"""
    from vcore_verl.evaluation.job import EvaluationError
    from vcore_verl.evaluation.pool import pool_command, read_pool
    from vcore_verl.evaluation.readiness import figures
    from vcore_verl.report.readiness import FILE, readiness_tables, starts, write_figures

    if min(args.prompts, args.samples) < 2:
        raise EvaluationError("--prompts and --samples must be at least 2")
    found = starts(args.places)
    pools = {start: pool_command(start.checkpoint, args.prompts, args.samples, args.recipe) for start in found}
    measured, drawn = {}, set[Path]()
    for number, (start, (folder, command)) in enumerate(pools.items(), 1):
        if command and folder not in drawn:
            with shown(console, f"[{number}/{len(pools)}] readiness", command) as on_progress:
                process.run(command, folder / "evaluation.log", EVALUATION_STALL_SECONDS, on_progress)
        drawn.add(folder)
        measured[start] = figures(read_pool(folder))
        write_figures(folder, start, measured[start])
    console.print(readiness_tables(measured))
    for folder in dict.fromkeys(folder for folder, _ in pools.values()):
        say(f"written: {folder / FILE}")
