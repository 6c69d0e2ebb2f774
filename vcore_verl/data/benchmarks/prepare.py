"""Published rows -> parquet in verl's RL row format, which evaluation reads."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from random import Random

from vcore_verl.config.recipe import Recipe
from vcore_verl.data import templates
from vcore_verl.data.benchmarks.declaration import Alive, AnswerBenchmark, Benchmark, CodeBenchmark, Problem
from vcore_verl.data.benchmarks.programs import stored
from vcore_verl.data.evaluated import Evaluated
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import Row, mirror_folder, open_published
from vcore_verl.data.rows import rl_row, write_rows
from vcore_verl.runs.layout import TESTS


def prepare(benchmark: Benchmark, output: Path, recipe: Recipe, alive: Alive = lambda: None) -> Counter[str]:
    """Write the benchmark's problems to `output`, from the hub or the recipe's mirror; only the first
    `evaluation.max_prompts` if that is set. Tests of programs go to a folder beside it, one problem's at a time.

    Returns the number of problems that count as failed whatever the response, by reason. Calls `alive` once per row.
    Raises `DataError` for rows that cannot be read, missing columns, a wrong number of problems, and repeated ids.
    """
    rows = _watched(_published(benchmark, benchmark.columns, mirror_folder(recipe.data.mirror)), alive)
    max_prompts = recipe.evaluation.max_prompts
    if isinstance(benchmark, CodeBenchmark):
        read, tests = benchmark.reader(recipe, alive), output.with_name(TESTS)
        made = (stored(read(row), tests) for row in rows if benchmark.keep(row))
        problems = _checked(benchmark, made, max_prompts)
    else:
        assert isinstance(benchmark, AnswerBenchmark)
        problems = to_problems(benchmark, rows, max_prompts)
    write_rows(
        output,
        (
            rl_row(benchmark.data_source, problem.prompt, problem.gold, "test", index, problem.prompt_id)
            for index, problem in enumerate(problems)
        ),
    )
    return Counter(problem.unjudged for problem in problems if problem.unjudged)


def evaluated(benchmark: Benchmark, mirror: Path | None) -> Iterator[Evaluated]:
    """All problems that the benchmark may draw, without answers and tests, to compare training problems with.

    Raises `DataError` for rows that cannot be read or lack columns, as they are read.
    """
    if isinstance(benchmark, CodeBenchmark):
        rows = _published(benchmark, benchmark.statement_columns, mirror)
        yield from (benchmark.evaluated(row) for row in rows if benchmark.keep(row))
        return
    assert isinstance(benchmark, AnswerBenchmark)
    for position, row in enumerate(_kept(benchmark, _published(benchmark, benchmark.columns, mirror))):
        problem = benchmark.problem(row, position)
        yield Evaluated(problem.prompt_id, templates.question_of(problem.prompt[0]["content"]))


def to_problems(benchmark: AnswerBenchmark, rows: Iterable[Row], max_prompts: int | None = None) -> list[Problem]:
    """The benchmark's problems from published rows, checked: all of them, or the first `max_prompts`."""
    kept = _kept(benchmark, rows)
    if benchmark.stratified_by is not None and len(kept) >= benchmark.size:
        kept = stratified(kept, benchmark.stratified_by, benchmark.size)
    return _checked(benchmark, (benchmark.problem(row, position) for position, row in enumerate(kept)), max_prompts)


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


def _published(benchmark: Benchmark, columns: tuple[str, ...], mirror: Path | None) -> Iterator[Row]:
    opened = [open_published(source, columns, mirror, benchmark.revision) for source in benchmark.sources]
    return chain.from_iterable(part.rows for part in opened)


def _watched(rows: Iterable[Row], alive: Alive) -> Iterator[Row]:
    for row in rows:
        alive()
        yield row


def _kept(benchmark: AnswerBenchmark, rows: Iterable[Row]) -> list[Row]:
    kept = [row for row in rows if benchmark.keep(row)]
    if benchmark.distinct is not None:
        kept = list({row[benchmark.distinct]: row for row in reversed(kept)}.values())[::-1]
    return kept


def _checked(benchmark: Benchmark, made: Iterable[Problem], max_prompts: int | None) -> list[Problem]:
    problems = list(islice(made, max_prompts))
    if max_prompts is None and len(problems) != benchmark.size:
        raise DataError(f"benchmark '{benchmark.name}' needs {benchmark.size} problems, the rows hold {len(problems)}")
    if len({problem.prompt_id for problem in problems}) < len(problems):
        raise DataError(f"benchmark '{benchmark.name}': the rows repeat a problem id")
    return problems
