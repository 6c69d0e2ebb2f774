"""Selects the examples of a run from the rows of a source: filters, random sample, filter counts.

Cheap checks run on every row of the stream. A uniform sample of the rows that pass, larger than requested, is kept; the
expensive checks run on it in order until enough examples have passed. Imports no torch.
"""

from collections.abc import Callable

from vcore_verl.data.draw import Draw, rank
from vcore_verl.data.funnel import Check, Funnel
from vcore_verl.data.published import Opened
from vcore_verl.data.sources import Example, Source

SEED = 42  # paper, Table 6; the same for all seeds of a recipe, which vary only the training
SPARE_FACTOR, SPARE_ROWS = 2, 1000  # drawn in excess, since the expensive checks drop some
_OTHER_TRACE = "another trace of the problem"
_REPEATED, _LEFT_OUT, _NOT_NEEDED = "the same row again", "not drawn", "not needed"


def select(
    source: Source,
    opened: Opened,
    count: int,
    checks: Callable[[], list[Check]],
    solve_rate: list[float] | None,
    on_row: Callable[[], None],
) -> tuple[list[Example], Funnel]:
    """`count` examples that pass `checks`, in random order; `checks` is called anew for each pass over the rows.

    Fewer than `count` only if no more rows pass. `solve_rate` is the range to keep, ends included; `on_row` is called
    for every row read and every example checked.
    """
    capacity, cheap = SPARE_FACTOR * count + SPARE_ROWS, _cheap_checks(source, solve_rate)
    while True:
        expensive = checks()
        early = [check.reason for check in (*source.filters, *cheap)]
        repeated = _OTHER_TRACE if source.one_trace else _REPEATED
        funnel = Funnel([*early, repeated, _LEFT_OUT, *(check.reason for check in expensive), _NOT_NEEDED])
        draw: Draw[Example] = Draw(capacity)
        for row in opened.rows:
            on_row()
            funnel.read += 1
            if funnel.passes(row, source.filters) and funnel.passes(example := source.example(row), cheap):
                row_rank = rank(SEED, example.problem, example.trace, example.answer)
                draw.add(rank(SEED, example.problem) if source.one_trace else row_rank, example, row_rank)
        funnel.dropped |= {repeated: draw.repeats, _LEFT_OUT: draw.left_out}
        chosen: list[Example] = []
        for example in draw.ordered():
            if len(chosen) == count:
                funnel.dropped[_NOT_NEEDED] += 1
                continue
            on_row()
            if funnel.passes(example, expensive):
                chosen.append(example)
        if len(chosen) == count or draw.left_out == 0:
            return chosen, funnel
        capacity *= 4


def _cheap_checks(source: Source, solve_rate: list[float] | None) -> list[Check]:
    def incomplete(example: Example) -> bool:
        answered = bool(example.answer or example.candidate) or (source.supervised and not source.verified)
        return not (example.problem and answered and (example.trace or not source.supervised))

    checks = [Check("without problem, trace or answer", incomplete)]
    if solve_rate is not None:
        low, high = solve_rate
        checks += [
            Check("without a solve rate", lambda example: example.solve_rate is None),
            Check(f"solve rate outside {low:g} to {high:g}", lambda example: not low <= example.solve_rate <= high),
        ]
    return checks
