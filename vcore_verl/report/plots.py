"""The plots of a report."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from PIL import Image

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from vcore_verl.evaluation.statistics import Estimate
from vcore_verl.report.collect import Collection
from vcore_verl.report.curves import ACCURACY, REWARD, curves
from vcore_verl.report.numbers import Arm, Comparison, StageNumbers
from vcore_verl.report.style import GREY, ORIGINAL, RC, WIDTH, Style, styles

Styles = dict[tuple[str, str], Style]  # by init and RL algorithm

# Stage and pattern for keys in its metrics.jsonl -> title. The loss is the unweighted one: only that is comparable
# across objectives.
_CURVES = {
    ("sft", "train/plain_loss"): "SFT: mean token loss (nats)",
    ACCURACY: "RL: accuracy, primary data set",
    REWARD: "RL: mean reward",
    ("rl", "actor/entropy"): "RL: policy entropy (nats)",
    ("rl", "response_length/mean"): "RL: response length (tokens)",
    ("rl", "actor/kl_loss"): "RL: KL to the start (nats)",
}


def draw(collection: Collection, comparison: Comparison, folder: Path) -> list[Path]:
    """Write every plot for which there are numbers, and return their paths."""
    files = {run.init: run.recipe.init.file for run in collection.runs if run.recipe and run.recipe.init.file}
    chosen = styles(((init, rl) for rl, init in collection.arms), files)
    paths = []
    with plt.rc_context(RC):
        figures = {
            "accuracy": dumbbell(comparison, chosen),
            "training": training_curves(collection, chosen),
            "pass_at_k": pass_at_k_curves(comparison, chosen),
            "domains": in_against_out(comparison, chosen),
        }
        for name, figure in figures.items():
            if figure:
                paths.append(folder / f"{name}.png")
                _save(figure, paths[-1])
                plt.close(figure)
    return paths


def _save(figure: Figure, path: Path) -> None:
    """Save a PNG with 256 colours, a third of the size: plots are committed to a repository."""
    buffer = io.BytesIO()
    figure.savefig(buffer)
    Image.open(buffer).convert("RGB").quantize().save(path, optimize=True)


def dumbbell(comparison: Comparison, chosen: Styles) -> Figure | None:
    """Accuracy of every arm before and after RL, with 95 % intervals over prompts; the original model is a band.

    With several seeds, dots next to the mean show the accuracy of each.
    """
    if not comparison.arms:
        return None
    arms = comparison.arms
    figure, grid = _data_set_panels(comparison, 1.1 + 0.42 * len(arms))
    for axes, dataset in zip(grid, comparison.datasets, strict=True):
        original = comparison.base[dataset].sampled.estimate
        axes.axvspan(100 * original.low, 100 * original.high, color="#E0E0E0", zorder=0)
        axes.axvline(100 * original.mean, color=GREY, linestyle="--", linewidth=1)
        for row, arm in enumerate(arms):
            _dumbbell_row(axes, -row, arm, dataset, chosen[arm.init, arm.rl].colour)
        axes.set_title(f"{dataset} ({comparison.conditions['datasets'][dataset]} prompts)")
        axes.set_xlabel("accuracy (%)")
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.08)
    grid[0].set_yticks([-row for row in range(len(arms))], [arm.name for arm in arms])
    grid[0].set_ylim(-len(arms) + 0.4, 0.6)
    figure.legend(handles=_stage_legend(comparison), loc="outside upper center", ncols=4)
    return figure


def _data_set_panels(comparison: Comparison, height: float) -> tuple[Figure, np.ndarray]:
    """A figure `height` inches high with axes side by side, one per data set."""
    columns, size = len(comparison.datasets), (WIDTH, height)
    figure, grid = plt.subplots(1, columns, figsize=size, sharey=True, squeeze=False, layout="constrained")
    return figure, grid[0]


def _dumbbell_row(axes: Axes, y: float, arm: Arm, dataset: str, colour: str) -> None:
    figures = arm.datasets[dataset]
    start = figures.pre if arm.init != "none" else None
    if start and figures.post:
        ends = [100 * start.sampled.estimate.mean, 100 * figures.post.sampled.estimate.mean]
        axes.plot(ends, [y + 0.13, y - 0.13], color=colour, linewidth=0.8, alpha=0.5)
    for stage, offset, face in ((start, 0.13, "white"), (figures.post, -0.13, colour)):
        if stage:
            axes.errorbar(
                100 * stage.sampled.estimate.mean,
                y + offset,
                xerr=_error_bars([stage.sampled.estimate]),
                fmt="o",
                color=colour,
                markerfacecolor=face,
                markersize=5,
                capsize=2.5,
                linewidth=1.2,
            )
            if len(stage.sampled.by_run) > 1:
                runs = [100 * accuracy for accuracy in stage.sampled.by_run]
                axes.plot(runs, [y + 2.3 * offset] * len(runs), ".", color=colour, markersize=3)


def _error_bars(estimates: Sequence[Estimate]) -> np.ndarray:
    """Lengths of the error bars in percent, shape (2, number of estimates)."""
    return np.array([[100 * (item.mean - item.low), 100 * (item.high - item.mean)] for item in estimates]).T


def _stage_legend(comparison: Comparison) -> list[Line2D]:
    point: dict[str, Any] = {"color": "#303030", "marker": "o", "markersize": 5, "linestyle": ""}
    handles = [Line2D([], [], color=GREY, linestyle="--", linewidth=1, label="original model")]
    if any(arm.init != "none" for arm in comparison.arms):
        handles.append(Line2D([], [], **point, markerfacecolor="white", label="after SFT"))
    if any(arm.rl != "none" for arm in comparison.arms):
        handles.append(Line2D([], [], **point, label="after RL"))
    if not comparison.one_seed:
        handles.append(Line2D([], [], **point | {"marker": ".", "markersize": 3}, label="single runs"))
    return handles


def training_curves(collection: Collection, chosen: Styles) -> Figure | None:
    """Training curves, one line per arm: the mean over its seeds, with their range shaded."""
    found = {
        panel: {(init, rl): curves(runs, *panel) for (rl, init), runs in collection.arms.items()} for panel in _CURVES
    }
    shown = {panel: by_arm for panel, by_arm in found.items() if any(by_arm.values())}
    if not shown:
        return None
    columns = min(3, len(shown))
    num_rows = -(-len(shown) // columns)
    figure = plt.figure(figsize=(WIDTH, 0.5 + 1.9 * num_rows), layout="constrained")
    for position, (panel, by_arm) in enumerate(shown.items(), 1):
        axes = figure.add_subplot(num_rows, columns, position)
        for (init, rl), found_curves in by_arm.items():
            _arm_curve(axes, found_curves, chosen[init, rl], f"{init}-{rl}")
        axes.set_title(_CURVES[panel])
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    lines = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
    labels = [label for rl, init in collection.arms if (label := f"{init}-{rl}") in lines]
    if len(labels) > 1:
        figure.legend([lines[label] for label in labels], labels, loc="outside upper center", ncols=min(4, len(labels)))
    return figure


def _arm_curve(axes: Axes, curves: list[dict[int, float]], style: Style, label: str) -> None:
    """The mean of an arm's `curves`, step -> value, over the steps that all of them have."""
    steps = sorted(set.intersection(*map(set, curves))) if curves else []
    if not steps:
        return
    values = np.array([[item[step] for step in steps] for item in curves])
    look = {"color": style.colour, "linestyle": style.line, "alpha": style.alpha, "linewidth": 1.3}
    axes.plot(steps, values.mean(axis=0), marker="o" if len(steps) == 1 else None, label=label, **look)
    if len(curves) > 1:
        axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=style.colour, alpha=0.15, linewidth=0)


def pass_at_k_curves(comparison: Comparison, chosen: Styles) -> Figure | None:
    """Unbiased pass@k of the final checkpoints and the original model, with intervals over prompts."""
    if comparison.conditions["sampling"]["num_samples"] < 2:
        return None
    figure, grid = _data_set_panels(comparison, 3.0)
    for axes, dataset in zip(grid, comparison.datasets, strict=True):
        lines = [("original model", comparison.base[dataset], ORIGINAL)]
        lines += [(arm.name, arm.datasets[dataset].final, chosen[arm.init, arm.rl]) for arm in comparison.arms]
        ks = list(comparison.base[dataset].pass_at_k)
        for position, (label, figures, style) in enumerate(lines):
            estimates = list(figures.pass_at_k.values())
            # Shift k by a fraction of an octave, so that the intervals of different arms do not overlap.
            axes.errorbar(
                np.array(ks) * 2 ** (0.02 * (position - len(lines) / 2)),
                [100 * item.mean for item in estimates],
                yerr=_error_bars(estimates),
                color=style.colour,
                marker=style.marker,
                linestyle=style.line,
                alpha=style.alpha,
                markersize=4,
                linewidth=1.0,
                elinewidth=0.8,
                label=label,
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(ks, [str(k) for k in ks])
        axes.minorticks_off()
        axes.set_title(dataset)
        axes.set_xlabel("k")
    grid[0].set_ylabel("pass@k (%)")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(5, len(labels)))
    return figure


def in_against_out(comparison: Comparison, chosen: Styles) -> Figure | None:
    """Accuracy on the second data set against that on the first: every arm's path from the original model."""
    if len(comparison.datasets) < 2 or not comparison.arms:
        return None
    first, second = comparison.datasets[:2]
    figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    original = comparison.base[first], comparison.base[second]
    for arm in comparison.arms:
        style, x, y = chosen[arm.init, arm.rl], arm.datasets[first], arm.datasets[second]
        after_sft = [(x.pre, y.pre)] if arm.init != "none" else []
        after_rl = [(x.post, y.post)] if x.post and y.post else []
        path = [original, *after_sft, *after_rl]
        line = {"color": style.colour, "linestyle": style.line, "linewidth": 0.8, "alpha": style.alpha}
        axes.plot(*zip(*[[100 * stage.sampled.estimate.mean for stage in pair] for pair in path], strict=True), **line)
        for pair in after_sft:
            _cross(axes, *pair, style, "white", "" if after_rl else arm.name)
        for pair in after_rl:
            _cross(axes, *pair, style, style.colour, arm.name)
    _cross(axes, *original, ORIGINAL, "white", "original model")
    axes.set_xlabel(f"{first}: accuracy (%)")
    axes.set_ylabel(f"{second}: accuracy (%)")
    figure.legend(loc="outside right upper")
    return figure


def _cross(axes: Axes, x: StageNumbers, y: StageNumbers, style: Style, face: str, label: str) -> None:
    axes.errorbar(
        100 * x.sampled.estimate.mean,
        100 * y.sampled.estimate.mean,
        xerr=_error_bars([x.sampled.estimate]),
        yerr=_error_bars([y.sampled.estimate]),
        color=style.colour,
        marker=style.marker,
        markerfacecolor=face,
        alpha=style.alpha,
        markersize=5,
        linestyle="",
        linewidth=0.6,
        label=label,
    )
