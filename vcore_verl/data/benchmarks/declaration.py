"""What a benchmark declares."""

from collections.abc import Callable
from dataclasses import dataclass, field

from vcore_verl.data.published import Published, Row


@dataclass(frozen=True)
class Problem:
    """One problem as it is asked and graded; `prompt_id` is unique in its benchmark."""

    prompt_id: str
    prompt: str
    gold: str


@dataclass(frozen=True)
class Benchmark:
    """A benchmark of `size` problems.

    `data_source` chooses the grader (`reward.extraction.answer_style`); `problem` turns a published row and its
    position into a problem; each has `columns`. Of the published rows those that `keep` are taken, of equal
    `distinct` columns the first. Where there is a column `stratified_by`, `size` of these are drawn, with its
    distribution in the whole; else they must be `size`.
    """

    name: str
    sources: tuple[Published, ...]
    columns: tuple[str, ...]
    problem: Callable[[Row, int], Problem]
    size: int
    data_source: str
    keep: Callable[[Row], bool] = field(default=lambda row: True)
    distinct: str | None = None
    stratified_by: str | None = None
