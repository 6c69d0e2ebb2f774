"""The report of a recipe's runs: which SFT objective is the better start for RL, and how certain is that?

- `scores`    one evaluation from disk, as arrays
- `collect`   which evaluations are comparable, and which are excluded and why
- `measures`  the primary measure and the secondary ones
- `curves`    training metrics by step
- `weights`   whether token weights differed from uniform ones and from noise
- `numbers`   the contents of a report, as types
- `compare`   computes all numbers
- `tuning`    what tuning chose for each arm
- `transitions` prompts gained and lost by training
- `provenance`, `reproduce`  training setup and cost of the runs, and the commands that reproduce them
- `table`, `tables`, `wording`   the tables; numbers as text, the summary
- `terminal`, `markdown`, `plots`   the output formats; `page`: the Markdown as HTML
- `view`      one prompt before and after RL, across SFT objectives
- `readiness` figures of starts for RL, and their correlation with what RL made of them
- `versus`    compares evaluations given by path

Imports no torch.
"""

from pathlib import Path

from rich.console import RenderableType

from vcore_verl.report.collect import collect
from vcore_verl.report.compare import compare
from vcore_verl.report.markdown import markdown
from vcore_verl.report.page import page
from vcore_verl.report.plots import draw
from vcore_verl.report.reproduce import commands
from vcore_verl.report.scores import ReportError
from vcore_verl.report.terminal import terminal_report
from vcore_verl.runs.model_card import write_card

__all__ = ["ReportError", "terminal_summary", "write_report"]


def write_report(root: Path, against: str | None = None) -> None:
    """Write a report on all runs below `root` = runs/<recipe> to root/report (report.md, report.html, comparison.json,
    plots), and the results to the model cards of the runs' checkpoints. The SFT objectives are compared with `against`,
    by default sft.

    Raises `ReportError` if the base model's evaluation has not finished, or `against` has not been run; runs that
    cannot be compared are excluded and named.
    """
    collection = collect(root, against)
    comparison = compare(collection)
    folder = root / "report"
    folder.mkdir(parents=True, exist_ok=True)
    plots = draw(collection, comparison, folder)
    text = markdown(comparison, plots)
    (folder / "comparison.json").write_text(comparison.to_json())
    (folder / "report.md").write_text(text)
    (folder / "report.html").write_text(page(text, plots))
    checkpoints = {home / stage / "hf": run for run in collection.runs for stage, home in run.homes.items()}
    for checkpoint, run in checkpoints.items():
        if checkpoint.is_dir():
            write_card(checkpoint, *commands(collection.name, [run]))


def terminal_summary(root: Path, against: str | None = None) -> RenderableType:
    """The summary and tables for the runs below `root`, for a terminal."""
    return terminal_report(compare(collect(root, against)))
