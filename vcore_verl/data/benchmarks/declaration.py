"""What a benchmark declares."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from vcore_verl.data.published import Published, Row


@dataclass(frozen=True)
class Problem:
    """One problem as it is asked and graded; `prompt_id` is unique in its benchmark."""

    prompt_id: str
    prompt: str
    gold: str


@dataclass(frozen=True)
class Stratified:
    """A draw of `size` rows with the `column` distribution of the whole, from a fixed seed."""

    column: str
    size: int
    seed: int

    def draw(self, rows: Sequence[Row]) -> list[Row]:
        """Shares are rounded by largest remainder, so that exactly `size` rows come out, in their original order."""
        groups: dict[str, list[int]] = {}
        for position, row in enumerate(rows):
            groups.setdefault(str(row[self.column]), []).append(position)
        exact = {name: self.size * len(members) / len(rows) for name, members in groups.items()}
        quota = {name: int(share) for name, share in exact.items()}
        by_remainder = sorted(exact, key=lambda name: (quota[name] - exact[name], name))
        for name in by_remainder[: self.size - sum(quota.values())]:
            quota[name] += 1
        random = Random(self.seed)
        chosen = [position for name in sorted(groups) for position in random.sample(groups[name], quota[name])]
        return [rows[position] for position in sorted(chosen)]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark.

    `data_source` chooses the grader (`reward.extraction.answer_style`); `problem` turns a published row and its
    position into a problem; `columns` must be there. Of the published rows those that `keep` are taken, of equal
    `distinct` columns the first, of these a `sample`; what is left must be `size` problems.
    """

    name: str
    sources: tuple[Published, ...]
    columns: tuple[str, ...]
    problem: Callable[[Row, int], Problem]
    size: int
    data_source: str
    keep: Callable[[Row], bool] = field(default=lambda row: True)
    distinct: str | None = None
    sample: Stratified | None = None
