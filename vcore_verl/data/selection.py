"""From the rows of a source to the examples of a run: what is drawn, what is dropped, and why.

Cheap filters look at every row of the stream. Of what passes, a uniform draw somewhat larger than asked for is kept;
the expensive checks go through it in order, as far as needed. Imports no torch.
"""

from collections.abc import Callable
from dataclasses import dataclass

from vcore_verl.data.draw import Draw, rank
from vcore_verl.data.funnel import Funnel
from vcore_verl.data.published import Opened, Row
from vcore_verl.data.sources import Example, Source

SEED = 42  # paper, Table 6; the same for all seeds of a recipe, which vary the training alone
SPARE_FACTOR, SPARE_ROWS = 2, 1000  # drawn for those that the checks will drop
_REPEATED, _LEFT_OUT, _NOT_NEEDED = "the same row again", "not drawn", "not needed"
_INCOMPLETE = "without problem, trace or answer"


@dataclass(frozen=True)
class Check:
    """An example that it `rejects` is dropped for the `reason`."""

    reason: str
    rejects: Callable[[Example], bool]


@dataclass(frozen=True)
class Selection:
    """The chosen examples, in random order, and how many rows each filter dropped."""

    examples: list[Example]
    funnel: Funnel


def select(
    source: Source,
    opened: Opened,
    count: int,
    checks: Callable[[], list[Check]],
    solve_rate: list[float] | None,
    on_row: Callable[[], None],
) -> Selection:
    """Up to `count` examples that pass `checks`, which are made afresh for each pass over the rows.

    Less than `count` only where no more rows pass. `solve_rate` is the range of it to keep, ends included; `on_row` is
    called for every row read and every example looked at.
    """
    capacity = SPARE_FACTOR * count + SPARE_ROWS
    while True:
        made = checks()
        stream_filters = [*_stream_filters(source, solve_rate), _REPEATED, _LEFT_OUT]
        funnel = Funnel([*stream_filters, *(check.reason for check in made), _NOT_NEEDED])
        draw = _draw(source, opened, capacity, solve_rate, funnel, on_row)
        examples = _examine(draw, count, made, funnel, on_row)
        if len(examples) == count or draw.left_out == 0:
            return Selection(examples, funnel)
        capacity *= 4


def _draw(
    source: Source,
    opened: Opened,
    capacity: int,
    solve_rate: list[float] | None,
    funnel: Funnel,
    on_row: Callable[[], None],
) -> Draw[Example]:
    draw: Draw[Example] = Draw(capacity)
    for row in opened.rows:
        on_row()
        funnel.read += 1
        if (reason := _failed(source, row)) is not None:
            funnel.drop(reason)
            continue
        example = source.example(row)
        if (reason := _unfit(source, example, solve_rate)) is not None:
            funnel.drop(reason)
            continue
        draw.add(rank(SEED, example.problem, example.trace, example.answer), example)
    funnel.drop(_REPEATED, draw.repeats)
    funnel.drop(_LEFT_OUT, draw.left_out)
    return draw


def _examine(
    draw: Draw[Example], count: int, checks: list[Check], funnel: Funnel, on_row: Callable[[], None]
) -> list[Example]:
    chosen: list[Example] = []
    for example in draw.ordered():
        if len(chosen) == count:
            funnel.drop(_NOT_NEEDED)
            continue
        on_row()
        failed = next((check.reason for check in checks if check.rejects(example)), None)
        if failed is None:
            chosen.append(example)
        else:
            funnel.drop(failed)
    return chosen


def _stream_filters(source: Source, solve_rate: list[float] | None) -> list[str]:
    rated = [] if solve_rate is None else [_UNRATED, _outside(solve_rate)]
    return [*(item.reason for item in source.filters), _INCOMPLETE, *rated]


_UNRATED = "without a solve rate"


def _outside(solve_rate: list[float]) -> str:
    return f"solve rate outside {solve_rate[0]:g} to {solve_rate[1]:g}"


def _failed(source: Source, row: Row) -> str | None:
    return next((item.reason for item in source.filters if not item.keep(row)), None)


def _unfit(source: Source, example: Example, solve_rate: list[float] | None) -> str | None:
    needs = [example.problem, *([example.trace] if source.supervised else [])]
    needs += [example.answer] if source.verified or not source.supervised else []
    if not all(needs):
        return _INCOMPLETE
    if solve_rate is None:
        return None
    if example.solve_rate is None:
        return _UNRATED
    return None if solve_rate[0] <= example.solve_rate <= solve_rate[1] else _outside(solve_rate)
