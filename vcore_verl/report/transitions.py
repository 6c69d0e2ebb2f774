"""Which prompts training gained and which it lost.

A prompt counts as solved if at least half of its samples are correct. With several seeds, only the first is used:
responses belong to one checkpoint, not to a mean.
"""

from dataclasses import dataclass

import numpy as np

from vcore_verl.report.collect import Collection, TrainedRun
from vcore_verl.report.scores import DatasetScores

SOLVED = 0.5
_EXAMPLES = 3


@dataclass(frozen=True)
class Transition:
    """The 2x2 table of one run on one data set: prompts solved before and after training, ids with largest changes."""

    arm: str
    seed: int
    dataset: str
    both: int
    lost: int
    gained: int
    neither: int
    lost_examples: tuple[str, ...]
    gained_examples: tuple[str, ...]


def transitions(collection: Collection) -> list[Transition]:
    """The transition of every arm and data set by RL, or by SFT in arms without RL."""
    found = []
    for run, *_ in collection.arms.values():
        before, after = (run.pre, run.post) if run.post else (collection.base, run.pre)
        for name in collection.base.datasets:
            found.append(_transition(run, name, before.datasets[name], after.datasets[name]))
    return found


def _transition(run: TrainedRun, dataset: str, before: DatasetScores, after: DatasetScores) -> Transition:
    ids = before.prompt_ids
    before_P, after_P = before.score_PS.mean(axis=1), after.score_PS.mean(axis=1)
    solved_before_P, solved_after_P = before_P >= SOLVED, after_P >= SOLVED
    change_P = after_P - before_P
    lost_P, gained_P = solved_before_P & ~solved_after_P, ~solved_before_P & solved_after_P
    return Transition(
        arm=run.arm,
        seed=run.seed,
        dataset=dataset,
        both=int((solved_before_P & solved_after_P).sum()),
        lost=int(lost_P.sum()),
        gained=int(gained_P.sum()),
        neither=int((~solved_before_P & ~solved_after_P).sum()),
        lost_examples=tuple(ids[i] for i in np.argsort(change_P, kind="stable") if lost_P[i])[:_EXAMPLES],
        gained_examples=tuple(ids[i] for i in np.argsort(-change_P, kind="stable") if gained_P[i])[:_EXAMPLES],
    )
