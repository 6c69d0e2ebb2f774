"""What tuning chose for each arm: `tuning.json` in runs/<recipe>, and its table.

Tuned arms keep the names of their folders, which hold the value, on disk; in the report they are `sft+tuned`, so that
arms with different values are one comparison.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vcore_verl.evaluation.results import RESULTS
from vcore_verl.evaluation.statistics import paired_difference
from vcore_verl.report.table import Table
from vcore_verl.runs.hashing import write_whole
from vcore_verl.runs.layout import VALIDATION, Place

TUNED = "tuned"
_RECORD = "tuning.json"


@dataclass(frozen=True)
class Point:
    """One combination of values of the tuned keys, and its accuracy on the validation set, by tuning seed.

    `as_good`: whether the best point is not significantly better (95 % interval over prompts, paired).
    """

    values: tuple[str, ...]
    by_seed: tuple[float, ...]
    as_good: bool = False

    @property
    def accuracy(self) -> float:
        return sum(self.by_seed) / len(self.by_seed)

    @property
    def label(self) -> str:
        return ", ".join(self.values)


@dataclass(frozen=True)
class Tuned:
    """The outcome for one arm. `init` and `rl` are its names in reports, `folders` those of the chosen point on disk.

    `lacks`: tuned keys that the arm's objective does not have. Accuracy is that after `after` ("sft" or "rl") by
    `decoding` on `num_prompts` validation problems.
    """

    init: str
    rl: str
    folders: tuple[str, str]
    keys: tuple[str, ...]
    lacks: tuple[str, ...]
    after: str
    decoding: str
    num_prompts: int
    seeds: tuple[int, ...]
    points: tuple[Point, ...]

    @property
    def best(self) -> Point:
        """The point of the highest accuracy; of equal ones, the first."""
        return max(self.points, key=lambda point: point.accuracy)

    @property
    def remarks(self) -> list[str]:
        """What to know before relying on the choice."""
        found = [f"{key}={value} is at the edge of the grid: extend it" for key, value in self._edges()]
        others = [point for point in self.points if point != self.best]
        equal = [point.label for point in others if point.accuracy == self.best.accuracy]
        close = [point.label for point in others if point.as_good and point.label not in equal]
        found += [f"tie with {' and '.join(equal)}: the first was taken"] * bool(equal)
        found += [f"not significantly better than {' and '.join(close)}"] * bool(close)
        return found + [f"has no {key}" for key in self.lacks]

    def _edges(self) -> list[tuple[str, str]]:
        """Key and best value of the numeric keys whose best value is their lowest or highest."""
        edges = []
        for position, key in enumerate(self.keys):
            numbers = [_number(point.values[position]) for point in self.points]
            best = self.best.values[position]
            if None not in numbers and _number(best) in (min(numbers), max(numbers)):  # type: ignore[type-var]
                edges.append((key, best))
        return edges


def points(scores: dict[tuple[str, ...], Sequence[NDArray[np.float64]]]) -> tuple[Point, ...]:
    """The points of a grid from the scores by prompt of each tuning seed; all arrays have the same order of prompts."""
    means = {values: np.mean(by_seed, axis=0) for values, by_seed in scores.items()}
    made = [Point(values, tuple(float(np.mean(item)) for item in by_seed)) for values, by_seed in scores.items()]
    best = max(made, key=lambda point: point.accuracy)
    return tuple(
        replace(item, as_good=paired_difference(means[item.values], means[best.values]).low <= 0) for item in made
    )


def write_tuning(root: Path, found: Iterable[Tuned]) -> None:
    """Add `found` to root/tuning.json; a former outcome of the same arm is replaced."""
    merged = {(item.init, item.rl): item for item in (*read_tuning(root), *found)}
    write_whole(root / _RECORD, json.dumps([asdict(item) for item in merged.values()], indent=1) + "\n")


def read_tuning(root: Path) -> list[Tuned]:
    path = root / _RECORD
    return [_read(row) for row in json.loads(path.read_text())] if path.is_file() else []


def renamed(place: Place, outcomes: Iterable[Tuned]) -> Place:
    """`place` under the names that a tuned arm has in reports; itself if it is none."""
    for item in outcomes:
        if (place.init, place.rl) == item.folders:
            return replace(place, init=item.init, rl=item.rl)
        if place.rl == "none" and place.init == item.folders[0]:
            return replace(place, init=item.init)
    return place


def only_validates(place: Place) -> bool:
    """Whether the run was made for tuning alone: evaluated on the validation set, on no test set."""
    validated = any(
        path.is_file() for at in (VALIDATION, f"*/{VALIDATION}") for path in place.folder.glob(f"{at}/{RESULTS}")
    )
    return validated and not (place.folder / "eval" / RESULTS).is_file()


def tuning_table(outcomes: Sequence[Tuned]) -> Table:
    """One line per tuned arm: the chosen values, and the validation accuracy of each point; remarks in the note."""
    lines = [
        [
            f"{item.init}-{item.rl}",
            ", ".join(f"{key}={value}" for key, value in zip(item.keys, item.best.values, strict=True)),
            f"after {item.after.upper()}",
            "; ".join(f"{point.label}: {100 * point.accuracy:.1f}" for point in item.points),
        ]
        for item in outcomes
    ]
    return Table(("arm", "chosen", "measured", "accuracy on validation (%)"), lines, _note(outcomes))


def _note(outcomes: Sequence[Tuned]) -> str:
    measured = {
        f"{item.decoding}, {item.num_prompts} problems, seed {', '.join(map(str, item.seeds))}" for item in outcomes
    }
    remarks = (f"{item.init}-{item.rl}: {'; '.join(item.remarks)}. " for item in outcomes if item.remarks)
    return "".join(remarks) + (
        f"Each arm has its own best values by the validation set, which shares no problem with training or tests"
        f" ({'; '.join(sorted(measured))}). 'Not significantly better': paired interval over prompts."
    )


def _read(row: dict) -> Tuned:
    lists = {key: tuple(value) for key, value in row.items() if isinstance(value, list)}
    found = tuple(Point(tuple(point["values"]), tuple(point["by_seed"]), point["as_good"]) for point in row["points"])
    return Tuned(**(row | lists | {"points": found}))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
