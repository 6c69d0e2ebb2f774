"""The plots of a report."""

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib
from PIL import Image

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from omegaconf import OmegaConf

from vcore_verl.evaluation.statistics import Estimate
from vcore_verl.report.collect import Collection, TrainedRun
from vcore_verl.report.curves import PANELS, Panel, curve
from vcore_verl.report.numbers import Arm, Comparison
from vcore_verl.report.style import GREY, ORIGINAL, RC, WIDTH, Style, styles

Styles = dict[tuple[str, str], Style]  # by init and RL algorithm


def draw(collection: Collection, comparison: Comparison, folder: Path) -> list[Path]:
    """Write every plot there are numbers for, and return their paths."""
    chosen = styles(((init, rl) for rl, init in collection.arms), _objective_files(collection))
    pictures: dict[str, Callable[[], Figure | None]] = {
        "accuracy": lambda: dumbbell(comparison, chosen),
        "training": lambda: training_curves(collection, chosen),
        "pass_at_k": lambda: pass_at_k_curves(comparison, chosen),
    }
    paths = []
    with plt.rc_context(RC):
        for name, picture in pictures.items():
            figure = picture()
            if figure is not None:
                paths.append(folder / f"{name}.png")
                _save(figure, paths[-1])
                plt.close(figure)
    return paths


def _objective_files(collection: Collection) -> dict[str, str]:
    """init -> the file of its objective, of those that are none of the package's."""
    recipes = {run.init: run.folder / "recipe.yaml" for run in collection.runs}
    files = {
        init: OmegaConf.select(OmegaConf.load(path), "init.file") for init, path in recipes.items() if path.exists()
    }
    return {init: file for init, file in files.items() if file}


def _save(figure: Figure, path: Path) -> None:
    """As a PNG of 256 colours, a third of the size: these files are kept in a repository."""
    buffer = io.BytesIO()
    figure.savefig(buffer)
    Image.open(buffer).convert("RGB").quantize().save(path, optimize=True)


def dumbbell(comparison: Comparison, chosen: Styles) -> Figure | None:
    """Accuracy before and after RL of every arm, with 95 % intervals over prompts; the original model as a band.

    Of several seeds, each one's accuracy is a dot beside their mean.
    """
    if not comparison.arms:
        return None
    datasets, arms = comparison.datasets, comparison.arms
    figure, grid = plt.subplots(
        1, len(datasets), figsize=(WIDTH, 1.1 + 0.42 * len(arms)), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, dataset in zip(grid[0], datasets, strict=True):
        if dataset in comparison.base:
            _band(axes, comparison.base[dataset].accuracy)
        for row, arm in enumerate(arms):
            _dumbbell_row(axes, -row, arm, dataset, chosen[arm.init, arm.rl])
        axes.set_title(f"{dataset} ({comparison.conditions['datasets'][dataset]} prompts)")
        axes.set_xlabel("accuracy (%)")
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.08)
    grid[0][0].set_yticks([-row for row in range(len(arms))], [arm.name for arm in arms])
    grid[0][0].set_ylim(-len(arms) + 0.4, 0.6)
    figure.legend(handles=_stage_legend(comparison), loc="outside upper center", ncols=4)
    return figure


def _band(axes: Axes, accuracy: Estimate) -> None:
    axes.axvspan(100 * accuracy.low, 100 * accuracy.high, color="#E0E0E0", zorder=0)
    axes.axvline(100 * accuracy.mean, color=GREY, linestyle="--", linewidth=1)


def _dumbbell_row(axes: Axes, y: float, arm: Arm, dataset: str, style: Style) -> None:
    figures = arm.datasets[dataset]
    start = figures.pre if arm.init != "none" else None
    if start and figures.post:
        ends = [100 * start.accuracy.mean, 100 * figures.post.accuracy.mean]
        axes.plot(ends, [y + 0.13, y - 0.13], color=style.colour, linewidth=0.8, alpha=0.5)
    for stage, offset, face in ((start, 0.13, "white"), (figures.post, -0.13, style.colour)):
        if stage:
            _point(axes, stage.accuracy, y + offset, style.colour, face)
            if len(stage.by_seed) > 1:
                runs = [100 * accuracy for accuracy in stage.by_seed]
                axes.plot(runs, [y + 2.3 * offset] * len(runs), ".", color=style.colour, markersize=3)


def _point(axes: Axes, accuracy: Estimate, y: float, colour: str, face: str) -> None:
    axes.errorbar(
        100 * accuracy.mean,
        y,
        xerr=_arms([accuracy]),
        fmt="o",
        color=colour,
        markerfacecolor=face,
        markersize=5,
        capsize=2.5,
        linewidth=1.2,
    )


def _arms(estimates: list[Estimate]) -> np.ndarray:
    """Lengths of error bars in percent, shape (2, number of estimates)."""
    return np.array([[100 * (item.mean - item.low), 100 * (item.high - item.mean)] for item in estimates]).T


def _stage_legend(comparison: Comparison) -> list[Line2D]:
    handles = []
    if comparison.base:
        handles.append(Line2D([], [], color=GREY, linestyle="--", linewidth=1, label="original model"))
    if any(arm.init != "none" for arm in comparison.arms):
        handles.append(_marker("white", "after SFT"))
    if any(arm.rl != "none" for arm in comparison.arms):
        handles.append(_marker("#303030", "after RL"))
    if not comparison.one_seed:
        handles.append(Line2D([], [], color="#303030", marker=".", markersize=3, linestyle="", label="single runs"))
    return handles


def _marker(face: str, label: str) -> Line2D:
    return Line2D([], [], color="#303030", marker="o", markerfacecolor=face, markersize=5, linestyle="", label=label)


def training_curves(collection: Collection, chosen: Styles) -> Figure | None:
    """What training logged, one line per arm: the mean over its seeds, their range shaded."""
    panels = [panel for panel in PANELS if any(curve(run, panel) for run in collection.runs)]
    if not panels:
        return None
    columns = min(3, len(panels))
    num_rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(
        num_rows, columns, figsize=(WIDTH, 0.5 + 1.9 * num_rows), squeeze=False, layout="constrained"
    )
    for axes, panel in zip(grid.flat, panels, strict=False):
        for (rl, init), runs in collection.arms.items():
            _arm_curve(axes, runs, panel, chosen[init, rl], f"{init}-{rl}")
        axes.set_title(panel.title)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    lines = {line.get_label(): line for axes in grid.flat for line in axes.get_lines()}
    labels = [label for rl, init in collection.arms if (label := f"{init}-{rl}") in lines]
    if len(labels) > 1:
        figure.legend([lines[label] for label in labels], labels, loc="outside upper center", ncols=min(4, len(labels)))
    return figure


def _arm_curve(axes: Axes, runs: list[TrainedRun], panel: Panel, style: Style, label: str) -> None:
    curves = [found for run in runs if (found := curve(run, panel)) is not None]
    steps = sorted(set.intersection(*(set(item) for item in curves))) if curves else []
    if not steps:
        return
    values = np.array([[item[step] for step in steps] for item in curves])
    axes.plot(
        steps,
        values.mean(axis=0),
        color=style.colour,
        linestyle=style.line,
        marker="o" if len(steps) == 1 else None,
        alpha=style.alpha,
        linewidth=1.3,
        label=label,
    )
    if len(curves) > 1:
        axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=style.colour, alpha=0.15, linewidth=0)


def pass_at_k_curves(comparison: Comparison, chosen: Styles) -> Figure | None:
    """Unbiased pass@k with bootstrap intervals over prompts, of the final checkpoints and the original model."""
    if comparison.conditions["sampling"]["num_samples"] < 2:
        return None
    figure, grid = plt.subplots(
        1, len(comparison.datasets), figsize=(WIDTH, 3.0), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, dataset in zip(grid[0], comparison.datasets, strict=True):
        lines = [("original model", comparison.base.get(dataset), ORIGINAL)]
        lines += [(arm.name, arm.datasets[dataset].final, chosen[arm.init, arm.rl]) for arm in comparison.arms]
        shown = [(label, figures.pass_at_k, style) for label, figures, style in lines if figures]
        for position, (label, estimates, style) in enumerate(shown):
            _pass_line(axes, estimates, style, label, shift=0.02 * (position - len(shown) / 2))
        ks = list(shown[0][1])
        axes.set_xscale("log", base=2)
        axes.set_xticks(ks, [str(k) for k in ks])
        axes.minorticks_off()
        axes.set_title(dataset)
        axes.set_xlabel("k")
    grid[0][0].set_ylabel("pass@k (%)")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(5, len(labels)))
    return figure


def _pass_line(axes: Axes, estimates: dict[int, Estimate], style: Style, label: str, shift: float) -> None:
    """`shift`, in octaves, keeps the intervals of different arms from covering each other."""
    axes.errorbar(
        np.array(list(estimates)) * 2**shift,
        [100 * item.mean for item in estimates.values()],
        yerr=_arms(list(estimates.values())),
        color=style.colour,
        marker=style.marker,
        linestyle=style.line,
        alpha=style.alpha,
        markersize=4,
        linewidth=1.0,
        elinewidth=0.8,
        label=label,
    )
