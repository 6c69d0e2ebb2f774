"""The fields of a benchmark."""

from collections.abc import Callable
from dataclasses import dataclass, field

from reward import domain_of
from vcore_verl.config.recipe import Recipe
from vcore_verl.data.code.problem import CodeProblem
from vcore_verl.data.evaluated import Evaluated
from vcore_verl.data.published import Published, Row
from vcore_verl.data.rows import Messages

Alive = Callable[[], None]  # called often while something long is done: the stall watchdog waits for it


@dataclass(frozen=True)
class Problem:
    """One problem as prompted and graded; `prompt_id` is unique in its benchmark.

    `unjudged` says why no response can be judged right; such a problem counts as failed.
    """

    prompt_id: str
    prompt: Messages
    gold: str
    unjudged: str = ""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark of `size` problems.

    `data_source` chooses the domain and the grader (`reward.domain_of`). Every row has `columns`, and those that do not
    pass `keep` are left out. `revision` is the one that the benchmark is defined for; None: the newest.
    """

    name: str
    sources: tuple[Published, ...]
    columns: tuple[str, ...]
    size: int
    data_source: str
    keep: Callable[[Row], bool] = field(default=lambda row: True)
    revision: str | None = None

    @property
    def domain(self) -> str:
        return domain_of(self.data_source).name


@dataclass(frozen=True, kw_only=True)
class AnswerBenchmark(Benchmark):
    """Problems whose answers are compared with that of the row.

    `problem` turns a row and its position into a problem. Of rows with equal values in the column `distinct`, the first
    is used. With a column `stratified_by`, `size` of these rows are drawn with the distribution of that column;
    otherwise there must be exactly `size`.
    """

    problem: Callable[[Row, int], Problem]
    distinct: str | None = None
    stratified_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class CodeBenchmark(Benchmark):
    """Problems that a program solves, which passes tests.

    `reader` gives, for a recipe, what turns a row into a problem with its tests. `evaluated` is the row's problem
    without its tests, for decontamination, which needs only `statement_columns`.
    """

    reader: Callable[[Recipe, Alive], Callable[[Row], CodeProblem]]
    evaluated: Callable[[Row], Evaluated]
    statement_columns: tuple[str, ...]
