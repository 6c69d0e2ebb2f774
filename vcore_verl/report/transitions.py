"""Which prompts training gained and which it lost.

A prompt counts as solved when at least half of its samples are correct. Of several seeds the first one's checkpoints
count: responses belong to a checkpoint, not to a mean.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vcore_verl.report.collect import Collection, TrainedRun
from vcore_verl.report.scores import Evaluation

_SOLVED = 0.5
_EXAMPLES = 3


@dataclass(frozen=True)
class Transition:
    """The 2x2 table of one run on one data set: prompts solved before and after training, ids of most changed."""

    arm: str
    seed: int
    dataset: str
    both: int
    lost: int
    gained: int
    neither: int
    lost_examples: tuple[str, ...]
    gained_examples: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return vars(self)


def transitions(collection: Collection) -> list[Transition]:
    """By RL: of every arm with an evaluation before and after it, and every data set."""
    return [
        _transition(run, run.pre, run.post, dataset)
        for run in _first_runs(collection)
        if run.pre is not None and run.post is not None
        for dataset in collection.reference.datasets
    ]


def transitions_by_sft(collection: Collection) -> list[Transition]:
    """By SFT: of every arm without RL, against the base model."""
    return [
        _transition(run, collection.base, run.pre, dataset)
        for run in _first_runs(collection)
        if run.rl == "none" and collection.base is not None and run.pre is not None
        for dataset in collection.reference.datasets
    ]


def _first_runs(collection: Collection) -> list[TrainedRun]:
    return [runs[0] for runs in collection.arms.values()]


def _transition(run: TrainedRun, before: Evaluation, after: Evaluation, dataset: str) -> Transition:
    prompt_ids = before.datasets[dataset].prompt_ids
    before_P = before.datasets[dataset].score_PS.mean(axis=1)
    after_P = after.datasets[dataset].score_PS.mean(axis=1)
    solved_before_P, solved_after_P = before_P >= _SOLVED, after_P >= _SOLVED
    change_P = after_P - before_P
    lost_P, gained_P = solved_before_P & ~solved_after_P, ~solved_before_P & solved_after_P
    return Transition(
        arm=f"{run.init}-{run.rl}",
        seed=run.seed,
        dataset=dataset,
        both=int((solved_before_P & solved_after_P).sum()),
        lost=int(lost_P.sum()),
        gained=int(gained_P.sum()),
        neither=int((~solved_before_P & ~solved_after_P).sum()),
        lost_examples=_lowest(prompt_ids, np.where(lost_P, change_P, np.inf)),
        gained_examples=_lowest(prompt_ids, np.where(gained_P, -change_P, np.inf)),
    )


def _lowest(prompt_ids: tuple[str, ...], order_P: np.ndarray) -> tuple[str, ...]:
    """Those with the lowest finite `order_P`, ties in order of their ids."""
    return tuple(prompt_ids[i] for i in np.argsort(order_P, kind="stable")[:_EXAMPLES] if np.isfinite(order_P[i]))
