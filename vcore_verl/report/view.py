"""The same prompt before and after training, and across SFT objectives, in the terminal."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vcore_verl.report.collect import Collection, collect
from vcore_verl.report.scores import Answer, Asked, Evaluation, ReportError, read_responses
from vcore_verl.report.transitions import transitions, transitions_by_sft
from vcore_verl.runs.layout import places

_SHOWN_CHARS = 2000


def view(place: Path, prompt_id: str | None = None, every_sample: bool = False) -> RenderableType:
    """Everything that was answered to a prompt, in the run at `place` and the others of its recipe; without a prompt,
    which ones changed most.

    Raises `ReportError` for a run without evaluations and for an unknown prompt.
    """
    collection = collect(_root(place))
    if prompt_id is None:
        return changed_prompts(collection)
    return prompt_view(collection, prompt_id, every_sample, _seed(place))


def _root(place: Path) -> Path:
    """runs/<recipe> of a path at or below it."""
    for candidate in (place, *place.resolve().parents):
        if (candidate / "base" / "eval").is_dir() or places(candidate):
            return candidate
    raise ReportError(f"{place} is not in a directory of runs: give runs/<recipe>, or a run below it")


def _seed(place: Path) -> int | None:
    """The seed of the run that `place` is in, None for the directory of all runs."""
    seeds = [re.fullmatch(r"seed(\d+)", part) for part in place.parts]
    return next((int(found[1]) for found in seeds if found), None)


def changed_prompts(collection: Collection) -> RenderableType:
    """How many prompts RL, or SFT in arms without RL, gained and lost, with the ids of those that changed most."""
    header = ("arm", "data set", "by", "gained", "lost")
    table = Table(*header, box=box.SIMPLE_HEAD, title="view one with --prompt ID")
    for by, found in (("RL", transitions(collection)), ("SFT", transitions_by_sft(collection))):
        for item in found:
            gained = _count_and_ids(item.gained, item.gained_examples, "green")
            lost = _count_and_ids(item.lost, item.lost_examples, "red")
            table.add_row(item.arm, item.dataset, by, gained, lost)
    return table


def _count_and_ids(count: int, ids: Sequence[str], colour: str) -> Text:
    return Text.assemble((str(count), colour), f": {' '.join(ids)}" if ids else "")


def prompt_view(
    collection: Collection, prompt_id: str, every_sample: bool = False, seed: int | None = None
) -> RenderableType:
    """What every checkpoint answered to one prompt. Raises `ReportError` where no data set has it."""
    datasets = [name for name, scores in collection.reference.datasets.items() if prompt_id in scores.prompt_ids]
    if not datasets:
        some = ", ".join(scores.prompt_ids[0] for scores in collection.reference.datasets.values())
        raise ReportError(f"no prompt '{prompt_id}'; ids look like {some}")
    parts: list[RenderableType] = []
    for dataset in datasets:
        asked = [(label, found[prompt_id]) for label, found in _asked(collection, dataset, prompt_id, seed)]
        first = asked[0][1]
        parts.append(
            Panel(Text(first.prompt), title=f"{dataset}: {prompt_id}, answer {escape(first.gold)}", title_align="left")
        )
        parts += [_panel(label, item, every_sample) for label, item in asked]
    return Group(*parts)


def _asked(
    collection: Collection, dataset: str, prompt_id: str, seed: int | None
) -> Iterator[tuple[str, dict[str, Asked]]]:
    for label, evaluation in checkpoints(collection, seed):
        yield label, read_responses(evaluation, dataset, [prompt_id])


def checkpoints(collection: Collection, seed: int | None = None) -> Iterator[tuple[str, Evaluation]]:
    """Original, then every arm before and after RL: its run of `seed`, or the first where it has none of that."""
    if collection.base is not None:
        yield "Original", collection.base
    for (rl, init), runs in collection.arms.items():
        run = next((run for run in runs if run.seed == seed), runs[0])
        suffix = f", seed {run.seed}" if len(runs) > 1 else ""
        if init != "none" and run.pre is not None:
            yield (f"after SFT ({init})" if rl == "none" else f"{init}-{rl}: after SFT") + suffix, run.pre
        if run.post is not None:
            yield f"{init}-{rl}: after RL{suffix}", run.post


def _panel(label: str, asked: Asked, every_sample: bool) -> Panel:
    answers = asked.answers if every_sample else tuple(_one_of_each_outcome(asked))
    num_samples = sum(answer.decoding == "sample" for answer in asked.answers)
    correct = round(asked.solved_share * num_samples)
    blocks = [
        Text.assemble((_caption(answer), _colour(answer)), "\n", answer.text[:_SHOWN_CHARS]) for answer in answers
    ]
    colour = "green" if asked.solved_share >= 0.5 else "red"
    title = f"{label}: {correct} of {num_samples} samples correct"
    return Panel(Group(*blocks), title=title, title_align="left", border_style=colour)


def _one_of_each_outcome(asked: Asked) -> Iterator[Answer]:
    seen: set[tuple[str, str]] = set()
    for answer in asked.answers:
        if (answer.decoding, answer.status) not in seen:
            seen.add((answer.decoding, answer.status))
            yield answer


def _caption(answer: Answer) -> str:
    name = "greedy" if answer.decoding == "greedy" else f"sample {answer.sample_idx}"
    cut = ", truncated" if answer.truncated else ""
    return f"{name}: {answer.status}, {answer.num_tokens} tokens{cut}"


def _colour(answer: Answer) -> str:
    return "bold green" if answer.score else "bold red"
