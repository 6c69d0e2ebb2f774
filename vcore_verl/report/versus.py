"""Evaluations against each other by path, wherever their checkpoints come from: the first one is the reference."""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vcore_verl.evaluation.results import RESULTS
from vcore_verl.evaluation.statistics import holm, mean_interval, paired_difference
from vcore_verl.report.collect import mismatch
from vcore_verl.report.scores import Evaluation, ReportError, contamination, read_evaluation
from vcore_verl.report.wording import interval, p_value, points, signed_interval

_CAPTION = "Intervals and p: over prompts. They describe these checkpoints, not the methods that trained them."


def versus(places: Sequence[Path]) -> RenderableType:
    """A table per data set; a place is an evaluation's folder, or that of the run that it evaluates.

    Raises `ReportError`, by name, for an evaluation that is unfinished or incomparable.
    """
    folders = [_evaluation_of(place) for place in places]
    evaluations = [read_evaluation(folder) for folder in folders]
    for folder, evaluation in zip(folders, evaluations, strict=True):
        if reason := mismatch(evaluation, evaluations[0]):
            raise ReportError(f"{folder} cannot be compared with {folders[0]}: {reason}")
    labels = _labels(places)
    tables = [_table(dataset, labels, evaluations) for dataset in evaluations[0].datasets]
    remarks = [Text(line, style="yellow") for line in contamination(evaluations)]
    return Group(*tables, Text(_CAPTION, style="dim"), *remarks)


def _evaluation_of(place: Path) -> Path:
    return place / "eval" if (place / "eval" / RESULTS).is_file() else place


def _labels(places: Sequence[Path]) -> list[str]:
    """The paths without the parts that all of them begin or end with."""
    paths = [place.parts for place in places]
    if len(set(paths)) < 2:
        return [str(place) for place in places]
    begin = _num_shared(paths)
    end = _num_shared([path[begin:][::-1] for path in paths])
    return ["/".join(path[begin : len(path) - end]) or "." for path in paths]


def _num_shared(paths: Sequence[tuple[str, ...]]) -> int:
    """How many parts at the beginning are the same in all."""
    return sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False)))


def _table(dataset: str, labels: list[str], evaluations: list[Evaluation]) -> Table:
    means = [evaluation.datasets[dataset].score_PS.mean(axis=1) for evaluation in evaluations]
    differences = [paired_difference(means[0], mean_P) for mean_P in means[1:]]
    adjusted = holm([difference.p or 0.0 for difference in differences])
    table = Table(title=f"{dataset} ({len(means[0])} prompts)", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("evaluation", overflow="fold")
    for name in ("accuracy (%)", "change (points)", "p (Holm)")[: 3 if differences else 1]:
        table.add_column(name, justify="right", no_wrap=True)
    for position, (label, mean_P) in enumerate(zip(labels, means, strict=True)):
        accuracy = mean_interval(mean_P)
        cells = [label, f"{100 * accuracy.mean:.1f} {interval(accuracy)}"]
        if position:
            difference = differences[position - 1]
            cells += [f"{points(difference)} {signed_interval(difference)}", p_value(adjusted[position - 1])]
        table.add_row(*cells)
    return table
