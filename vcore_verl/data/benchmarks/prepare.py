"""Published rows -> parquet in verl's RL row format, which evaluation reads."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from random import Random

from vcore_verl.data.benchmarks.declaration import Benchmark, Problem
from vcore_verl.data.evaluated import Evaluated
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import Row, open_published
from vcore_verl.data.rows import rl_row, user, write_rows
from vcore_verl.data.templates import question_of


def prepare(benchmark: Benchmark, output: Path, mirror: Path | None = None, max_prompts: int | None = None) -> None:
    """Write the benchmark's problems to `output`, from the hub or from a `mirror` directory with copies under their hub
    ids; only the first `max_prompts` if that is set.

    Raises `DataError` for rows that cannot be read, missing columns, a wrong number of problems, and repeated ids.
    """
    problems = to_problems(benchmark, _published(benchmark, mirror), max_prompts)
    rows = (
        rl_row(benchmark.data_source, user(problem.prompt), problem.gold, "test", index, problem.prompt_id)
        for index, problem in enumerate(problems)
    )
    write_rows(output, rows)


def evaluated(benchmark: Benchmark, mirror: Path | None) -> Iterator[Evaluated]:
    """All problems that the benchmark may draw, as training problems are compared with them.

    Raises `DataError` for rows that cannot be read or lack columns.
    """
    for position, row in enumerate(_kept(benchmark, _published(benchmark, mirror))):
        problem = benchmark.problem(row, position)
        yield Evaluated(problem.prompt_id, question_of(problem.prompt))


def _published(benchmark: Benchmark, mirror: Path | None) -> Iterable[Row]:
    opened = (open_published(source, benchmark.columns, mirror) for source in benchmark.sources)
    return chain.from_iterable(part.rows for part in opened)


def to_problems(benchmark: Benchmark, rows: Iterable[Row], max_prompts: int | None = None) -> list[Problem]:
    """The benchmark's problems from published rows, checked: all of them, or the first `max_prompts`."""
    kept = _kept(benchmark, rows)
    if benchmark.stratified_by is not None and len(kept) >= benchmark.size:
        kept = stratified(kept, benchmark.stratified_by, benchmark.size)
    problems = [benchmark.problem(row, position) for position, row in enumerate(kept)]
    if max_prompts is not None:
        problems = problems[:max_prompts]
    elif len(problems) != benchmark.size:
        raise DataError(f"benchmark '{benchmark.name}' needs {benchmark.size} problems, the rows hold {len(problems)}")
    if len({problem.prompt_id for problem in problems}) < len(problems):
        raise DataError(f"benchmark '{benchmark.name}': the rows repeat a problem id")
    return problems


def stratified(rows: Sequence[Row], column: str, size: int, seed: int = 42) -> list[Row]:
    """A stratified sample of `size` rows by `column`, in their original order.

    Shares are rounded by largest remainder, so exactly `size` rows are drawn.
    """
    groups: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        groups.setdefault(str(row[column]), []).append(position)
    exact = {name: size * len(members) / len(rows) for name, members in groups.items()}
    quota = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (quota[name] - exact[name], name))
    for name in by_remainder[: size - sum(quota.values())]:
        quota[name] += 1
    random = Random(seed)
    chosen = [position for name in sorted(groups) for position in random.sample(groups[name], quota[name])]
    return [rows[position] for position in sorted(chosen)]


def _kept(benchmark: Benchmark, rows: Iterable[Row]) -> list[Row]:
    kept = [row for row in rows if benchmark.keep(row)]
    if benchmark.distinct is not None:
        kept = list({row[benchmark.distinct]: row for row in reversed(kept)}.values())[::-1]
    return kept
