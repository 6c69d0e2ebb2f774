"""Writes the parquet files of a run whose data are built in. Imports no torch.

SFT rows: `messages` (user, assistant) and `spans`, the kinds of the assistant's text (see `arithmetic.Span`).
RL and test rows: verl's format (verl/utils/dataset/rl_dataset.py): data_source, prompt, ability, reward_model,
extra_info.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from random import Random
from typing import Any

from vcore_verl.builtin import arithmetic
from vcore_verl.config.recipe import Recipe
from vcore_verl.data.rows import rl_row, sft_row, user, write_rows
from vcore_verl.data.test_sets import prepare_test_sets
from vcore_verl.runs.hashing import write_whole
from vcore_verl.runs.layout import Run
from vcore_verl.runs.metrics_file import MetricsFile

TRAINING, TESTS = ("sft", "rl"), ("in_domain", "out_of_domain")


def prepare(recipe: Recipe, run: Run) -> None:
    """Write the files of `TRAINING`, then `data.json` with the row counts, which marks them as complete.

    Raises ValueError when a test problem also stands in a training set, or a problem occurs twice.
    """
    run.data.mkdir(parents=True, exist_ok=True)
    tables = _checked_tables(recipe)
    progress = MetricsFile(run.data / "progress.jsonl", len(TRAINING))
    for step, name in enumerate(TRAINING, start=1):
        write_rows(run.data / f"{name}.parquet", tables[name])
        progress.log({}, step)
    summary = {"rows": {name: len(tables[name]) for name in TRAINING}, "decontaminated": TESTS}
    write_whole(run.data / "data.json", json.dumps(summary, indent=2) + "\n")


def prepare_tests(recipe: Recipe, run: Run) -> None:
    """Write the sets that are evaluated on: those of `TESTS`, and published benchmarks."""
    tables = _checked_tables(recipe)
    prepare_test_sets(recipe, run, {name: tables[name] for name in TESTS})


def _checked_tables(recipe: Recipe) -> dict[str, list[dict[str, Any]]]:
    tables = dict(zip((*TRAINING, *TESTS), _tables(recipe), strict=True))
    check_disjoint({name: [_question(row) for row in rows] for name, rows in tables.items()})
    return tables


def check_disjoint(questions: dict[str, list[str]]) -> None:
    """Raise ValueError when a question occurs twice, within a set or across sets."""
    seen: dict[str, str] = {}
    for name, asked in questions.items():
        for question in asked:
            if question in seen:
                raise ValueError(f"problem {question} stands in {seen[question]} and in {name}")
            seen[question] = name


def _tables(recipe: Recipe) -> Iterator[list[dict[str, Any]]]:
    sizes = recipe.data
    # Fixed seeds: data are shared by all seeds of a recipe, which vary the training alone.
    supervised = _draw([arithmetic.IN_DOMAIN], "sft", sizes.num_sft, seed=1)
    traces = Random(2)
    yield [_sft_row(problem, arithmetic.solve(problem, arithmetic.SUPERVISED, traces)) for problem in supervised]
    yield [_rl_row(p, "rl", i) for i, p in enumerate(_draw([arithmetic.IN_DOMAIN], "rl", sizes.num_rl, seed=3))]
    in_domain = _draw([arithmetic.IN_DOMAIN], "test", sizes.num_test, seed=4)
    yield [_rl_row(p, "in_domain", i) for i, p in enumerate(in_domain)]
    unseen = [arithmetic.LONGER_CHAINS, arithmetic.LARGER_NUMBERS]
    yield [_rl_row(p, "out_of_domain", i) for i, p in enumerate(_draw(unseen, "test", sizes.num_test, seed=5))]


def _draw(ranges: list[arithmetic.Range], split: str, count: int, seed: int) -> list[arithmetic.Problem]:
    """`count` problems, taken in turn from each of `ranges`."""
    rng = Random(seed)
    streams = [arithmetic.problems(span, split, rng) for span in ranges]
    return [next(streams[index % len(streams)]) for index in range(count)]


def _sft_row(problem: arithmetic.Problem, trace: arithmetic.Trace) -> dict[str, Any]:
    return sft_row(user(problem.question), trace.text) | {"spans": [asdict(span) for span in trace.spans]}


def _rl_row(problem: arithmetic.Problem, split: str, index: int) -> dict[str, Any]:
    prompt, answer = user(problem.question), str(problem.answer)
    return rl_row(arithmetic.DATA_SOURCE, prompt, answer, split, index, f"{split}-{index}")


def _question(row: dict[str, Any]) -> str:
    return (row.get("prompt") or row["messages"])[0]["content"]
