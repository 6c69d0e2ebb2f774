"""Readiness of checkpoints for RL, and of finished runs: which of its figures goes with what RL made of them?"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from vcore_verl.config.recipe import RecipeError, read
from vcore_verl.evaluation.readiness import MIN_RUNS, RATES, Figures, rank_correlation
from vcore_verl.report.scores import ReportError, read_evaluation
from vcore_verl.report.table import Table
from vcore_verl.report.terminal import rich_table
from vcore_verl.runs.hashing import write_whole
from vcore_verl.runs.layout import RECIPE, places

FILE = "readiness.json"
_PERCENT = ("pass@", "mixed")


@dataclass(frozen=True)
class Start:
    """A checkpoint that RL starts from, or started from: `run` is the folder of that RL run, None before RL."""

    checkpoint: Path
    run: Path | None = None


def starts(places_given: Iterable[Path]) -> list[Start]:
    """The starts that are given: checkpoints, SFT runs, RL runs (where they started from), or runs/<recipe> for all RL
    runs of it. Raises `ReportError` for anything else.
    """
    return list(dict.fromkeys(start for place in places_given for start in _starts(place)))


def _starts(place: Path) -> list[Start]:
    if (place / "config.json").is_file():
        return [Start(place)]
    if (place / "sft" / "hf" / "config.json").is_file():
        return [Start(place / "sft" / "hf")]
    if (place / "rl" / "metrics.jsonl").is_file():
        of_sft = place.parent / "sft" / "hf"
        base = place.parent.parent.parent / "base" / "hf"
        return [Start(of_sft if of_sft.is_dir() else base, place)]
    if found := [item.folder for item in places(place) if item.rl != "none"]:
        return [start for folder in found for start in _starts(folder)]
    raise ReportError(f"{place} is not a checkpoint in Hugging Face format, nor a run with one, and has no RL runs")


def write_figures(folder: Path, start: Start, found: Figures) -> None:
    write_whole(folder / FILE, json.dumps({"checkpoint": str(start.checkpoint)} | found.to_json(), indent=1) + "\n")


def readiness_tables(found: dict[Start, Figures]) -> RenderableType:
    """The figures of each checkpoint once, and for runs with RL the rank correlations."""
    by_checkpoint = {start.checkpoint: item for start, item in found.items()}
    labels = _labels(list(by_checkpoint))
    parts = [
        rich_table("Readiness for RL", _figures_table(labels, list(by_checkpoint.values()))),
        rich_table("Prompts by success rate", _rates_table(labels, list(by_checkpoint.values()))),
    ]
    if finished := {start.run: item for start, item in found.items() if start.run}:
        parts.append(_correlations(finished))
    return Group(*parts)


def _labels(checkpoints: Sequence[Path]) -> list[str]:
    """The folders of the checkpoints' runs, relative to their common parent; `sft/seed0` for a single one."""
    folders = [path.resolve() for path in checkpoints]
    runs = [path.parents[1] if path.parts[-2:] == ("sft", "hf") else path for path in folders]
    if len(runs) == 1:
        return ["/".join(runs[0].parts[-2:])]
    common = os.path.commonpath(runs)
    return [os.path.relpath(path, common) for path in runs]


def _figures_table(labels: Sequence[str], found: Sequence[Figures]) -> Table:
    names = list(found[0].estimates)
    lines = [
        [label, *(_cell(name, item.estimates[name].mean) for name in names)]
        for label, item in zip(labels, found, strict=True)
    ]
    note = (
        "pass@k and mixed (prompts with some but not all answers right) in percent; entropies in nats, of the answers"
        " to a prompt and per token; gradient signal: G sqrt(p (1 - p)). Intervals over prompts are in readiness.json,"
        " the meaning of each figure in docs/readiness.md."
    )
    return Table(("checkpoint", *names), lines, note)


def _cell(name: str, value: float) -> str:
    if name.startswith(_PERCENT):
        return f"{100 * value:.1f}"
    return f"{value:.0f}" if name == "tokens" else f"{value:.3f}"


def _rates_table(labels: Sequence[str], found: Sequence[Figures]) -> Table:
    return Table(
        ("checkpoint", *RATES),
        [[label, *(str(item.rates[name]) for name in RATES)] for label, item in zip(labels, found, strict=True)],
    )


def _correlations(found: dict[Path, Figures]) -> RenderableType:
    title = f"Rank correlation with RL over {len(found)} runs"
    if len(found) < MIN_RUNS:
        return Text(f"\n{title}: too few runs, at least {MIN_RUNS} are needed", style="yellow")
    outcomes = [_outcome(run) for run in found]
    names = list(next(iter(found.values())).estimates)
    lines = []
    for name in names:
        values = [item.estimates[name].mean for item in found.values()]
        lines.append([name, *(_correlation(values, side) for side in zip(*outcomes, strict=True))])
    note = (
        "Spearman's correlation over runs, 95 % bootstrap interval over runs; runs of one initialization are not"
        " independent, so intervals are too narrow if several are given. Accuracy by the primary measure. A gain"
        " correlates negatively with accuracy before RL by construction, so read both columns."
    )
    return rich_table(title, Table(("figure before RL", "accuracy after RL", "gain by RL"), lines, note))


def _correlation(values: Sequence[float], outcomes: Sequence[float]) -> str:
    estimate = rank_correlation(values, outcomes)
    return f"{estimate.mean:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}]" if estimate else "does not vary"


def _outcome(run: Path) -> tuple[float, float]:
    """Accuracy of an RL run by its recipe's primary measure, and the gain over its start."""
    try:
        recipe = read(run / RECIPE)
    except (RecipeError, OSError) as error:
        raise ReportError(f"{run / RECIPE} cannot be read: {error}") from error
    name, decoding = recipe.primary_dataset, recipe.comparison.primary.decoding
    before = run.parent / "eval" if recipe.has_sft else run.parent.parent.parent / "base" / "eval"
    pre, post = (
        float(read_evaluation(folder).datasets[name].by_prompt(decoding).mean()) for folder in (before, run / "eval")
    )
    return post, post - pre
