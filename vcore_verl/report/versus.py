"""Evaluations against each other by path, wherever their checkpoints come from: the first one is the reference."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from vcore_verl.evaluation.statistics import holm, mean_interval, paired_difference
from vcore_verl.report.collect import mismatch
from vcore_verl.report.scores import Evaluation, ReportError, read_evaluation
from vcore_verl.report.wording import interval, p_value, percent, points, signed_interval


def versus(folders: Sequence[Path]) -> RenderableType:
    """A table per data set. Raises `ReportError`, by name, for an evaluation that is unfinished or incomparable."""
    evaluations = [read_evaluation(folder) for folder in folders]
    for folder, evaluation in zip(folders, evaluations, strict=True):
        if reason := mismatch(evaluation, evaluations[0]):
            raise ReportError(f"{folder} cannot be compared with {folders[0]}: {reason}")
    return Group(*(_table(dataset, folders, evaluations) for dataset in evaluations[0].datasets))


def _table(dataset: str, folders: Sequence[Path], evaluations: list[Evaluation]) -> Table:
    means = [evaluation.datasets[dataset].score_PS.mean(axis=1) for evaluation in evaluations]
    differences = [paired_difference(means[0], mean_P) for mean_P in means[1:]]
    adjusted = holm([difference.p or 0.0 for difference in differences])
    table = Table(title=f"{dataset} ({len(means[0])} prompts)", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("evaluation", "accuracy", "95 % interval", "change", "95 % interval", "p (Holm)"):
        table.add_column(name, justify="left" if name == "evaluation" else "right")
    for position, (folder, mean_P) in enumerate(zip(folders, means, strict=True)):
        accuracy = mean_interval(mean_P)
        cells = [str(folder), percent(accuracy.mean), interval(accuracy)]
        if position:
            difference = differences[position - 1]
            cells += [points(difference), signed_interval(difference), p_value(adjusted[position - 1])]
        table.add_row(*cells)
    return table
