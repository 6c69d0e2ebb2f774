"""Published rows -> parquet in verl's RL row format, which evaluation reads."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import load_dataset

from vcore_verl.evaluation.benchmarks.declaration import Benchmark, Problem, Row
from vcore_verl.evaluation.job import EvaluationError

_READERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}


def prepare(benchmark: Benchmark, output: Path, local_files: Sequence[Path] = ()) -> None:
    """Write the benchmark's problems to `output`, from the hub or from `local_files` with the same columns.

    Raises `EvaluationError` for missing columns, a number of problems that is not the benchmark's, or repeated ids.
    """
    problems = to_problems(benchmark, read_local(local_files) if local_files else _read_hub(benchmark))
    rows = [_rl_row(benchmark, index, problem) for index, problem in enumerate(problems)]
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_suffix(".partial")
    pq.write_table(pa.Table.from_pylist(rows), partial)
    partial.replace(output)


def to_problems(benchmark: Benchmark, rows: Sequence[Row]) -> list[Problem]:
    """The problems among published rows, checked."""
    missing = sorted(set(benchmark.columns) - set(rows[0])) if rows else list(benchmark.columns)
    if missing:
        raise EvaluationError(f"benchmark '{benchmark.name}': the rows lack {', '.join(missing)}")
    kept = [row for row in rows if benchmark.keep(row)]
    if benchmark.distinct is not None:
        kept = list({row[benchmark.distinct]: row for row in reversed(kept)}.values())[::-1]
    if benchmark.sample is not None:
        if len(kept) < benchmark.sample.size:
            raise EvaluationError(
                f"benchmark '{benchmark.name}': {benchmark.sample.size} problems are drawn, the rows hold {len(kept)}"
            )
        kept = benchmark.sample.draw(kept)
    problems = [benchmark.problem(row, position) for position, row in enumerate(kept)]
    if len(problems) != benchmark.size:
        raise EvaluationError(
            f"benchmark '{benchmark.name}' has {benchmark.size} problems, the rows hold {len(problems)}"
        )
    if len({problem.prompt_id for problem in problems}) < len(problems):
        raise EvaluationError(f"benchmark '{benchmark.name}': the rows repeat a problem's id")
    return problems


def read_local(paths: Sequence[Path]) -> list[Row]:
    """Rows of local parquet, json, jsonl or csv files, in order."""
    return [row for path in paths for row in _read_file(path)]


def _read_file(path: Path) -> list[Row]:
    if not path.is_file():
        raise EvaluationError(f"{path} does not exist")
    if path.suffix not in _READERS:
        raise EvaluationError(f"{path} is of an unknown kind; give one of {', '.join(_READERS)}")
    return load_dataset(_READERS[path.suffix], data_files=str(path), split="train").to_list()


def _read_hub(benchmark: Benchmark) -> list[Row]:
    return [
        row
        for source in benchmark.sources
        for row in load_dataset(source.hub_id, source.config, split=source.split, revision=source.revision).to_list()
    ]


def _rl_row(benchmark: Benchmark, index: int, problem: Problem) -> Row:
    return {
        "data_source": benchmark.data_source,
        "prompt": [{"role": "user", "content": problem.prompt}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": problem.gold},
        "extra_info": {"split": "test", "index": index, "prompt_id": problem.prompt_id},
    }
