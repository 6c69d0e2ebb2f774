"""Which prompts RL gained and which it lost.

A prompt counts as solved when at least half of its samples are correct. Of several seeds the first one's checkpoints
are shown: responses belong to a checkpoint, not to a mean.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vcore_verl.report.collect import Collection, TrainedRun
from vcore_verl.report.scores import Answer, Asked, read_responses

_SOLVED = 0.5
_EXAMPLES = 3


@dataclass(frozen=True)
class Example:
    """A prompt whose answer changed, with a response of each checkpoint that shows it."""

    prompt_id: str
    prompt: str
    gold: str
    before: Answer
    after: Answer


@dataclass(frozen=True)
class Transition:
    """The 2x2 table of one run on one data set: prompts solved before and after RL, and those that changed most."""

    arm: str
    seed: int
    dataset: str
    both: int
    lost: int
    gained: int
    neither: int
    lost_examples: tuple[Example, ...]
    gained_examples: tuple[Example, ...]

    def to_json(self) -> dict[str, Any]:
        counts = {"both": self.both, "lost": self.lost, "gained": self.gained, "neither": self.neither}
        examples = {
            "lost_examples": [example.prompt_id for example in self.lost_examples],
            "gained_examples": [example.prompt_id for example in self.gained_examples],
        }
        return {"arm": self.arm, "seed": self.seed, "dataset": self.dataset} | counts | examples


def transitions(collection: Collection) -> list[Transition]:
    """Of every arm with an evaluation before and after RL, and every data set."""
    first_runs = [runs[0] for runs in collection.arms.values()]
    return [
        _transition(run, dataset)
        for run in first_runs
        if run.pre is not None and run.post is not None
        for dataset in collection.reference.datasets
    ]


def _transition(run: TrainedRun, dataset: str) -> Transition:
    assert run.pre is not None and run.post is not None
    before_P = run.pre.datasets[dataset].score_PS.mean(axis=1)
    after_P = run.post.datasets[dataset].score_PS.mean(axis=1)
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
        lost_examples=_examples(run, dataset, np.where(lost_P, change_P, np.inf), gained=False),
        gained_examples=_examples(run, dataset, np.where(gained_P, -change_P, np.inf), gained=True),
    )


def _examples(run: TrainedRun, dataset: str, order_P: np.ndarray, gained: bool) -> tuple[Example, ...]:
    """Those with the lowest finite `order_P`, ties in order of their ids."""
    assert run.pre is not None and run.post is not None
    best = [position for position in np.argsort(order_P, kind="stable")[:_EXAMPLES] if np.isfinite(order_P[position])]
    chosen = [run.pre.datasets[dataset].prompt_ids[position] for position in best]
    before, after = read_responses(run.pre, dataset, chosen), read_responses(run.post, dataset, chosen)
    return tuple(_example(before[prompt_id], after[prompt_id], gained) for prompt_id in chosen)


def _example(before: Asked, after: Asked, gained: bool) -> Example:
    shown = _first(before, correct=not gained), _first(after, correct=gained)
    return Example(before.prompt_id, before.prompt, before.gold, *shown)


def _first(asked: Asked, correct: bool) -> Answer:
    return next(answer for answer in asked.answers if bool(answer.score) == correct)
