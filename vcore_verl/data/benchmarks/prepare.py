"""Published rows -> parquet in verl's RL row format, which evaluation reads."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from vcore_verl.data.benchmarks.declaration import Benchmark, Problem
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import Row, open_published
from vcore_verl.data.rows import rl_row, user, write_rows


def prepare(benchmark: Benchmark, output: Path, mirror: Path | None = None, max_prompts: int | None = None) -> None:
    """Write the benchmark's problems to `output`: from the hub, or from a `mirror` directory with copies under their
    hub ids. Only the first `max_prompts` where that is set.

    Raises `DataError` for rows that cannot be had, missing columns, a number of problems that is not the benchmark's,
    and repeated ids.
    """
    problems = enumerate(to_problems(benchmark, _published(benchmark, mirror), max_prompts))
    write_rows(
        output,
        (
            rl_row(benchmark.data_source, user(problem.prompt), problem.gold, "test", index, problem.prompt_id)
            for index, problem in problems
        ),
    )


def every_problem(benchmark: Benchmark, mirror: Path | None) -> list[Problem]:
    """All that the benchmark may be drawn from. Raises `DataError` for rows that cannot be had or lack columns."""
    kept = _kept(benchmark, _published(benchmark, mirror))
    return [benchmark.problem(row, position) for position, row in enumerate(kept)]


def _published(benchmark: Benchmark, mirror: Path | None) -> Iterable[Row]:
    return chain.from_iterable(open_published(source, mirror).rows for source in benchmark.sources)


def to_problems(benchmark: Benchmark, rows: Iterable[Row], max_prompts: int | None = None) -> list[Problem]:
    """The problems among published rows, checked: all of them, or the first `max_prompts` of those there are."""
    kept = _kept(benchmark, rows)
    if benchmark.sample is not None:
        if len(kept) >= benchmark.sample.size:
            kept = benchmark.sample.draw(kept)
        elif max_prompts is None:
            raise DataError(
                f"benchmark '{benchmark.name}': {benchmark.sample.size} problems are drawn, the rows hold {len(kept)}"
            )
    problems = [benchmark.problem(row, position) for position, row in enumerate(kept)]
    if max_prompts is not None:
        problems = problems[:max_prompts]
    elif len(problems) != benchmark.size:
        raise DataError(f"benchmark '{benchmark.name}' has {benchmark.size} problems, the rows hold {len(problems)}")
    if len({problem.prompt_id for problem in problems}) < len(problems):
        raise DataError(f"benchmark '{benchmark.name}': the rows repeat a problem's id")
    return problems


def _kept(benchmark: Benchmark, rows: Iterable[Row]) -> list[Row]:
    stream = iter(rows)
    first = next(stream, {})
    if missing := sorted(set(benchmark.columns) - set(first)):
        raise DataError(f"benchmark '{benchmark.name}': the rows lack {', '.join(missing)}")
    kept = [row for row in chain([first], stream) if benchmark.keep(row)]
    if benchmark.distinct is not None:
        kept = list({row[benchmark.distinct]: row for row in reversed(kept)}.values())[::-1]
    return kept
