"""Compares evaluations of any checkpoints, given by path; the first is the reference."""

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from vcore_verl.evaluation.results import RESULTS
from vcore_verl.evaluation.statistics import holm, mean_interval, paired_difference
from vcore_verl.report.collect import mismatch
from vcore_verl.report.scores import Evaluation, ReportError, contamination, read_evaluation, unjudged
from vcore_verl.report.tables import Table
from vcore_verl.report.terminal import rich_table
from vcore_verl.report.wording import interval, p_value, points, signed_interval

_CAPTION = "Intervals and p: over prompts. They describe these checkpoints, not the methods that trained them."


def versus(places: Sequence[Path]) -> RenderableType:
    """A table per data set; a place is an evaluation's folder, or the folder of an evaluated run.

    Raises `ReportError` naming an evaluation that is unfinished or cannot be compared with the first.
    """
    folders = [_evaluation_of(place) for place in places]
    evaluations = [read_evaluation(folder) for folder in folders]
    for folder, evaluation in zip(folders, evaluations, strict=True):
        if reason := mismatch(evaluation, evaluations[0]):
            raise ReportError(f"{folder} cannot be compared with {folders[0]}: {reason}")
    labels = _labels(places)
    tables = [
        rich_table(f"{name} ({len(scores.prompt_ids)} prompts)", _table(name, labels, evaluations))
        for name, scores in evaluations[0].datasets.items()
    ]
    remarks = [Text(line, style="yellow") for line in contamination(evaluations) + unjudged(evaluations[0])]
    return Group(*tables, Text(_CAPTION, style="dim"), *remarks)


def _evaluation_of(place: Path) -> Path:
    return place / "eval" if (place / "eval" / RESULTS).is_file() else place


def _labels(places: Sequence[Path]) -> list[str]:
    """The paths relative to their common parent folder."""
    paths = [place.resolve() for place in places]
    if len(set(paths)) < 2:
        return list(map(str, places))
    common = os.path.commonpath(paths)
    return [str(path.relative_to(common)) for path in paths]


def _table(dataset: str, labels: list[str], evaluations: list[Evaluation]) -> Table:
    means = [evaluation.datasets[dataset].score_PS.mean(axis=1) for evaluation in evaluations]
    lines = [
        [label, f"{100 * estimate.mean:.1f} {interval(estimate)}"]
        for label, estimate in zip(labels, map(mean_interval, means), strict=True)
    ]
    differences = [paired_difference(means[0], mean_P) for mean_P in means[1:]]
    adjusted = iter(holm([difference.p for difference in differences if difference.p is not None]))
    for line, difference in zip(lines[1:], differences, strict=True):
        p = None if difference.p is None else next(adjusted)
        line += [f"{points(difference)} {signed_interval(difference)}", p_value(p)]
    header = ("evaluation", "accuracy (%)", "change (points)", "p (Holm)")
    return Table(header[: len(lines[-1])], lines)
