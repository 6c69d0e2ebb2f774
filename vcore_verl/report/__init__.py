"""The report of a recipe's runs: which SFT objective is the better start for RL, and how certain is that?

- `scores`    one evaluation from disk, as arrays
- `collect`   which evaluations belong together, and which are excluded and why
- `measures`  the primary measure and the secondary ones
- `curves`    what training logged, step by step
- `numbers`   what a report says, as types
- `compare`   every number, once
- `transitions` prompts that training gained and lost
- `provenance`, `reproduce`  what was trained how and at what cost, and the commands that repeat it
- `tables`, `wording`   the tables; numbers as text, the summary
- `terminal`, `markdown`, `plots`   the report's forms; `page`: its Markdown as HTML
- `view`      one prompt before and after RL, across SFT objectives
- `versus`    evaluations against each other by path

Imports no torch.
"""

from pathlib import Path

from rich.console import RenderableType

from vcore_verl.report.collect import REFERENCE, collect
from vcore_verl.report.compare import compare
from vcore_verl.report.markdown import markdown
from vcore_verl.report.page import page
from vcore_verl.report.plots import draw
from vcore_verl.report.reproduce import commands
from vcore_verl.report.scores import ReportError
from vcore_verl.report.terminal import terminal_report
from vcore_verl.runs.model_card import write_card

__all__ = ["REFERENCE", "ReportError", "terminal_summary", "write_report"]


def write_report(root: Path, against: str = REFERENCE) -> None:
    """Report on all runs below `root` = runs/<recipe>, into root/report: report.md, report.html, comparison.json,
    plots; and write the results into the model cards of their checkpoints. The other SFT objectives are compared with
    `against`.

    Raises `ReportError` where no evaluation has finished, and where `against` has not been run; a run that cannot be
    compared is excluded, by name.
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


def terminal_summary(root: Path, against: str = REFERENCE) -> RenderableType:
    """What a terminal shows of the runs below `root`: the summary and the tables."""
    return terminal_report(compare(collect(root, against)))
