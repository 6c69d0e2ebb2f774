"""The fields of a benchmark."""

from collections.abc import Callable
from dataclasses import dataclass, field

from vcore_verl.data.published import Published, Row


@dataclass(frozen=True)
class Problem:
    """One problem as prompted and graded; `prompt_id` is unique in its benchmark."""

    prompt_id: str
    prompt: str
    gold: str


@dataclass(frozen=True)
class Benchmark:
    """A benchmark of `size` problems.

    `data_source` chooses the domain and the grader (`reward.domain_of`); `problem` turns a published row and its
    position into a problem; every row has `columns`. Rows must pass `keep`, and of rows with equal values in the column
    `distinct` the first is used. With a column `stratified_by`, `size` of these rows are drawn with the distribution of
    that column; otherwise there must be exactly `size`.
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
