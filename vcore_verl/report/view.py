"""Responses to one prompt before and after training, and across SFT objectives, in the terminal."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

from reward import DOMAINS
from reward.mathematics import MATHEMATICS
from vcore_verl.evaluation.responses import GREEDY, SAMPLE
from vcore_verl.evaluation.results import SAMPLES, TRUNCATED
from vcore_verl.report.collect import Collection, collect
from vcore_verl.report.scores import Evaluation, ReportError
from vcore_verl.report.tables import changes_table
from vcore_verl.report.terminal import rich_table
from vcore_verl.report.transitions import SOLVED, transitions

_SHOWN_CHARS = 2000


def view(place: Path, prompt_id: str | None = None, every_sample: bool = False) -> RenderableType:
    """All responses to a prompt, of the run at `place` and other runs of its recipe; without a prompt, how many prompts
    RL (in arms without RL: SFT) gained and lost, with the ids of those that changed most.

    Raises `ReportError` for a run without evaluations, or an unknown prompt.
    """
    collection = collect(_root(place))
    if prompt_id is not None:
        return _prompt_view(collection, prompt_id, every_sample, _seed(place))
    table = changes_table(collection.name, transitions(collection))
    return rich_table("prompts gained and lost", table)


def _root(place: Path) -> Path:
    """The directory runs/<recipe> at or above `place`."""
    for candidate in (place, *place.resolve().parents):
        if (candidate / "base" / "eval").is_dir():
            return candidate
    raise ReportError(f"{place} is not in a directory of runs: give runs/<recipe>, or a run below it")


def _seed(place: Path) -> int | None:
    """The seed of the run that contains `place`; None for the directory of all runs."""
    return next((int(part[4:]) for part in place.parts if re.fullmatch(r"seed\d+", part)), None)


def _prompt_view(collection: Collection, prompt_id: str, every_sample: bool, seed: int | None) -> RenderableType:
    """The responses of every checkpoint to one prompt; runs with `seed` if the arm has one."""
    datasets = [name for name, scores in collection.base.datasets.items() if prompt_id in scores.prompt_ids]
    if not datasets:
        some = ", ".join(scores.prompt_ids[0] for scores in collection.base.datasets.values())
        raise ReportError(f"no prompt '{prompt_id}'; ids look like {some}")
    parts: list[RenderableType] = []
    for dataset in datasets:
        asked = [(label, _responses(found, dataset, prompt_id)) for label, found in _checkpoints(collection, seed)]
        first = asked[0][1][0]
        # Results of earlier versions are all of mathematics.
        domain = collection.base.results["datasets"][dataset].get("domain", MATHEMATICS.name)
        title = f"{dataset}: {prompt_id}, answer {escape(DOMAINS[domain].shown(first['gold']))}"
        parts.append(Panel(Text(first["prompt"]), title=title, title_align="left"))
        parts += [_panel(label, responses, every_sample) for label, responses in asked]
    return Group(*parts)


def _checkpoints(collection: Collection, seed: int | None) -> Iterator[tuple[str, Evaluation]]:
    """Original, then every arm before and after RL: its run with `seed`, or its first run."""
    yield "Original", collection.base
    for runs in collection.arms.values():
        run = next((run for run in runs if run.seed == seed), runs[0])
        suffix = f", seed {run.seed}" if len(runs) > 1 else ""
        if run.init != "none":
            yield f"{run.arm}: after SFT{suffix}", run.pre
        if run.post:
            yield f"{run.arm}: after RL{suffix}", run.post


def _responses(evaluation: Evaluation, dataset: str, prompt_id: str) -> list[dict[str, Any]]:
    """The rows of samples.parquet for one prompt, the greedy response first."""
    chosen = (pc.field("dataset") == dataset) & (pc.field("prompt_id") == prompt_id)
    table = pq.read_table(evaluation.folder / SAMPLES, filters=chosen)
    return table.sort_by([("decoding", "ascending"), ("sample_idx", "ascending")]).to_pylist()


def _panel(label: str, responses: list[dict[str, Any]], every_sample: bool) -> Panel:
    """All `responses` of a checkpoint, or the first with each decoding and status."""
    first = {(row["decoding"], row["status"]): row for row in reversed(responses)}
    shown = [row for row in responses if every_sample or row is first[row["decoding"], row["status"]]]
    blocks = [Text.assemble(_caption(row), "\n", row["response"][:_SHOWN_CHARS]) for row in shown]
    scores = [row["score"] for row in responses if row["decoding"] == SAMPLE]
    colour = "green" if sum(scores) >= SOLVED * len(scores) else "red"
    title = f"{label}: {sum(scores):.0f} of {len(scores)} samples correct"
    return Panel(Group(*blocks), title=title, title_align="left", border_style=colour)


def _caption(row: dict[str, Any]) -> tuple[str, str]:
    """A response's heading and its style."""
    name = "greedy" if row["decoding"] == GREEDY else f"sample {row['sample_idx']}"
    cut = ", truncated" if row["finish_reason"] == TRUNCATED else ""
    return f"{name}: {row['status']}, {row['num_tokens']} tokens{cut}", f"bold {'green' if row['score'] else 'red'}"
