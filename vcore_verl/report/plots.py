"""The pictures of a report. Each is readable in grey: shape and line style tell what colour tells."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vcore_verl.report.collect import Collection, TrainedRun
from vcore_verl.report.compare import Arm, Comparison, StageFigures
from vcore_verl.report.curves import PANELS, Panel, curve

# Okabe and Ito's palette, distinguishable with any colour vision; an initialiser looks the same in every picture.
_STYLES = {
    "vcore": ("#D55E00", "o", "-"),
    "sft": ("#0072B2", "s", "--"),
    "dft": ("#009E73", "^", "-."),
    "iw_sft": ("#CC79A7", "D", ":"),
    "random": ("#E69F00", "v", (0, (5, 1))),
    "none": ("#404040", "P", (0, (3, 1, 1, 1))),
}
_OTHER = ("#56B4E9", "X", "-")
_GREY = "#707070"
_WIDTH = 7.0  # inches: a page's text width
_RC: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": 160,
    "savefig.bbox": "tight",
}


def draw(collection: Collection, comparison: Comparison, folder: Path) -> list[Path]:
    """Write every picture there are numbers for, and return their paths."""
    pictures: dict[str, Callable[[], Figure | None]] = {
        "accuracy": lambda: dumbbell(comparison),
        "training": lambda: training_curves(collection),
        "pass_at_k": lambda: pass_at_k_curves(comparison),
        "domains": lambda: in_against_out(comparison),
    }
    paths = []
    with plt.rc_context(_RC):
        for name, picture in pictures.items():
            figure = picture()
            if figure is not None:
                paths.append(folder / f"{name}.png")
                figure.savefig(paths[-1])
                plt.close(figure)
    return paths


def dumbbell(comparison: Comparison) -> Figure | None:
    """Accuracy before and after RL of every arm, with 95 % intervals over prompts; the original model as a band."""
    if not comparison.arms:
        return None
    datasets = comparison.datasets
    height = 1.1 + 0.42 * len(comparison.arms)
    figure, axes_row = plt.subplots(1, len(datasets), figsize=(_WIDTH, height), sharey=True, squeeze=False)
    for axes, dataset in zip(axes_row[0], datasets, strict=True):
        if dataset in comparison.base:
            _band(axes, comparison.base[dataset])
        for row, arm in enumerate(comparison.arms):
            _dumbbell_row(axes, -row, arm, dataset)
        axes.set_title(f"{dataset} ({comparison.conditions['datasets'][dataset]} prompts)")
        axes.set_xlabel("accuracy (%)")
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.08)
    axes_row[0][0].set_yticks([-row for row in range(len(comparison.arms))], [arm.name for arm in comparison.arms])
    axes_row[0][0].set_ylim(-len(comparison.arms) + 0.4, 0.6)
    figure.legend(handles=_stage_legend(comparison), loc="lower center", ncols=3, bbox_to_anchor=(0.5, 1.0))
    figure.tight_layout()
    return figure


def _band(axes: Axes, base: StageFigures) -> None:
    axes.axvspan(100 * base.accuracy.low, 100 * base.accuracy.high, color="#E0E0E0", zorder=0)
    axes.axvline(100 * base.accuracy.mean, color=_GREY, linestyle="--", linewidth=1)


def _dumbbell_row(axes: Axes, y: float, arm: Arm, dataset: str) -> None:
    colour, _, _ = _style(arm.init)
    figures = arm.datasets[dataset]
    start = figures.pre if arm.init != "none" else None
    if start and figures.post:
        ends = [100 * start.accuracy.mean, 100 * figures.post.accuracy.mean]
        axes.plot(ends, [y + 0.13, y - 0.13], color=colour, linewidth=0.8, alpha=0.6)
    for stage, offset, face in ((start, 0.13, "white"), (figures.post, -0.13, colour)):
        if stage:
            _point(axes, stage, y + offset, colour, face)


def _point(axes: Axes, stage: StageFigures, y: float, colour: str, face: str) -> None:
    estimate = stage.accuracy
    errors = [[100 * (estimate.mean - estimate.low)], [100 * (estimate.high - estimate.mean)]]
    axes.errorbar(
        100 * estimate.mean,
        y,
        xerr=errors,
        fmt="o",
        color=colour,
        markerfacecolor=face,
        markersize=5,
        capsize=2.5,
        linewidth=1.2,
    )


def _stage_legend(comparison: Comparison) -> list[Line2D]:
    handles = []
    if comparison.base:
        handles.append(Line2D([], [], color=_GREY, linestyle="--", linewidth=1, label="original model"))
    if any(arm.init != "none" for arm in comparison.arms):
        handles.append(_marker("white", "after SFT"))
    if any(arm.rl != "none" for arm in comparison.arms):
        handles.append(_marker("#303030", "after RL"))
    return handles


def _marker(face: str, label: str) -> Line2D:
    return Line2D([], [], color="#303030", marker="o", markerfacecolor=face, markersize=5, linestyle="", label=label)


def training_curves(collection: Collection) -> Figure | None:
    """What training logged, one line per arm: the mean over its seeds, their range shaded."""
    panels = [panel for panel in PANELS if any(curve(run, panel) for run in collection.runs)]
    if not panels:
        return None
    columns = min(3, len(panels))
    num_rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(num_rows, columns, figsize=(_WIDTH, 0.5 + 1.9 * num_rows), squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        for (rl, init), runs in collection.arms.items():
            _arm_curve(axes, runs, panel, init, f"{init}-{rl}")
        axes.set_title(panel.title)
        axes.set_xlabel("step")
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    lines = {line.get_label(): line for axes in grid.flat for line in axes.get_lines()}
    figure.legend(lines.values(), lines.keys(), loc="lower center", ncols=min(6, len(lines)), bbox_to_anchor=(0.5, 1.0))
    figure.tight_layout()
    return figure


def _arm_curve(axes: Axes, runs: list[TrainedRun], panel: Panel, init: str, label: str) -> None:
    curves = [found for run in runs if (found := curve(run, panel)) is not None]
    if not curves:
        return
    colour, _, line = _style(init)
    steps = sorted(set.intersection(*(set(item.steps) for item in curves)))
    values = np.array([[dict(zip(item.steps, item.values, strict=True))[step] for step in steps] for item in curves])
    alpha = 0.55 if label.endswith("-dapo") else 1.0
    marker = "o" if len(steps) == 1 else None
    axes.plot(
        steps, values.mean(axis=0), color=colour, linestyle=line, marker=marker, linewidth=1.3, alpha=alpha, label=label
    )
    if len(curves) > 1:
        axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15, linewidth=0)


def pass_at_k_curves(comparison: Comparison) -> Figure | None:
    """Unbiased pass@k with bootstrap intervals: final checkpoints solid, the original model grey."""
    if (
        len(next(iter(comparison.conditions["datasets"]), "")) == 0
        or comparison.conditions["sampling"]["num_samples"] < 2
    ):
        return None
    figure, axes_row = plt.subplots(1, len(comparison.datasets), figsize=(_WIDTH, 2.6), sharey=True, squeeze=False)
    for axes, dataset in zip(axes_row[0], comparison.datasets, strict=True):
        if dataset in comparison.base:
            _pass_line(axes, comparison.base[dataset], (_GREY, "*", ":"), "original model", 0.0)
        for position, arm in enumerate(comparison.arms):
            final = arm.datasets[dataset].final
            if final:
                _pass_line(axes, final, _style(arm.init), arm.name, 0.012 * (position + 1))
        axes.set_xscale("log", base=2)
        ticks = powers(comparison, dataset)
        axes.set_xticks(ticks, [str(k) for k in ticks])
        axes.minorticks_off()
        axes.set_title(dataset)
        axes.set_xlabel("k")
    axes_row[0][0].set_ylabel("pass@k (%)")
    handles, labels = axes_row[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=min(5, len(labels)), bbox_to_anchor=(0.5, 1.0))
    figure.tight_layout()
    return figure


def powers(comparison: Comparison, dataset: str) -> list[int]:
    """The k that pass@k was computed for."""
    finals = [arm.datasets[dataset].final for arm in comparison.arms]
    return list(next(figures for figures in [comparison.base.get(dataset), *finals] if figures).pass_at_k)


def _pass_line(axes: Axes, figures: StageFigures, style: tuple[str, str, object], label: str, shift: float) -> None:
    """`shift` (share of an octave) keeps intervals of different arms from covering each other."""
    colour, marker, line = style
    ks = np.array(list(figures.pass_at_k)) * 2**shift
    estimates = list(figures.pass_at_k.values())
    mean = np.array([100 * item.mean for item in estimates])
    low, high = (
        np.array([100 * value for value in side]) for side in zip(*((e.low, e.high) for e in estimates), strict=True)
    )
    axes.errorbar(
        ks,
        mean,
        yerr=[mean - low, high - mean],
        color=colour,
        marker=marker,
        linestyle=line,
        markersize=4,
        linewidth=1.2,
        capsize=2,
        label=label,
    )


def in_against_out(comparison: Comparison) -> Figure | None:
    """Accuracy on the first data set against that on the second: the path of every arm from the original model on."""
    if len(comparison.datasets) < 2 or not comparison.arms:
        return None
    first, second = comparison.datasets[:2]
    figure, axes = plt.subplots(figsize=(4.2, 3.4))
    if comparison.base:
        _cross(axes, comparison.base[first], comparison.base[second], _GREY, "*", "white", "original model")
    for arm in comparison.arms:
        colour, marker, line = _style(arm.init)
        stages = [(arm.datasets[first].base, arm.datasets[second].base)]
        if arm.init != "none":
            stages.append((arm.datasets[first].pre, arm.datasets[second].pre))
        stages.append((arm.datasets[first].post, arm.datasets[second].post))
        path = [(x, y) for x, y in stages if x and y]
        axes.plot(
            [100 * x.accuracy.mean for x, _ in path],
            [100 * y.accuracy.mean for _, y in path],
            color=colour,
            linestyle=line,
            linewidth=0.9,
        )
        for position, (x, y) in enumerate(path[1:] if comparison.base else path):
            last = position == len(path) - (2 if comparison.base else 1)
            _cross(axes, x, y, colour, marker, colour if last else "white", arm.name if last else None)
    axes.set_xlabel(f"{first}: accuracy (%)")
    axes.set_ylabel(f"{second}: accuracy (%)")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    return figure


def _cross(
    axes: Axes, x: StageFigures, y: StageFigures, colour: str, marker: str, face: str, label: str | None
) -> None:
    centre = 100 * x.accuracy.mean, 100 * y.accuracy.mean
    spread = [
        [
            [100 * (figures.accuracy.mean - figures.accuracy.low)],
            [100 * (figures.accuracy.high - figures.accuracy.mean)],
        ]
        for figures in (x, y)
    ]
    axes.errorbar(
        *centre,
        xerr=spread[0],
        yerr=spread[1],
        color=colour,
        marker=marker,
        markerfacecolor=face,
        markersize=6,
        linestyle="",
        linewidth=0.8,
        label=label,
    )


def _style(init: str) -> tuple[str, str, object]:
    return _STYLES.get(init, _OTHER)
