"""Writes the parquet files of a run whose data are built in. Imports no torch.

SFT rows: `messages` (user, assistant) and `spans`, the kinds of the assistant's text (see `arithmetic.Span`).
RL and test rows: verl's format (verl/utils/dataset/rl_dataset.py): data_source, prompt, ability, reward_model,
extra_info. No problem is in two sets: training and tests have other splits, and the tests other ranges.
"""

import json
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

# Seeds are fixed: data are shared by all seeds of a recipe, which vary the training alone.
TRACES, SFT, RL, IN_DOMAIN, OUT_OF_DOMAIN = 2, 1, 3, 4, 5


def prepare(recipe: Recipe, run: Run) -> None:
    """Write the training sets, then `data.json` with the row counts, which marks them as complete."""
    ranges, traces = [arithmetic.IN_DOMAIN], Random(TRACES)
    supervised = _draw(ranges, "sft", recipe.data.num_sft, SFT)
    tables = {
        "sft": [_sft_row(problem, arithmetic.solve(problem, arithmetic.SUPERVISED, traces)) for problem in supervised],
        "rl": _rl_rows("rl", _draw(ranges, "rl", recipe.data.num_rl, RL)),
    }
    progress = MetricsFile(run.data / "progress.jsonl", len(tables))
    for step, (name, rows) in enumerate(tables.items(), start=1):
        write_rows(run.data / f"{name}.parquet", rows)
        progress.log({}, step)
    counts = {name: len(rows) for name, rows in tables.items()}
    summary = {"rows": counts, "decontaminated": ["in_domain", "out_of_domain"]}
    write_whole(run.data / "data.json", json.dumps(summary, indent=2) + "\n")


def prepare_tests(recipe: Recipe, run: Run) -> None:
    """Write the sets that are evaluated on: in and out of domain, and published benchmarks."""
    ranges = {
        "in_domain": ([arithmetic.IN_DOMAIN], IN_DOMAIN),
        "out_of_domain": ([arithmetic.LONGER_CHAINS, arithmetic.LARGER_NUMBERS], OUT_OF_DOMAIN),
    }
    count = recipe.data.num_test
    made = {name: _rl_rows(name, _draw(spans, "test", count, seed)) for name, (spans, seed) in ranges.items()}
    prepare_test_sets(recipe, run, made)


def _draw(ranges: list[arithmetic.Range], split: str, count: int, seed: int) -> list[arithmetic.Problem]:
    """`count` problems, taken in turn from each of `ranges`."""
    rng = Random(seed)
    streams = [arithmetic.problems(span, split, rng) for span in ranges]
    return [next(streams[index % len(streams)]) for index in range(count)]


def _sft_row(problem: arithmetic.Problem, trace: arithmetic.Trace) -> dict[str, Any]:
    return sft_row(user(problem.question), trace.text) | {"spans": [asdict(span) for span in trace.spans]}


def _rl_rows(split: str, problems: list[arithmetic.Problem]) -> list[dict[str, Any]]:
    return [
        rl_row(arithmetic.DATA_SOURCE, user(problem.question), str(problem.answer), split, index, f"{split}-{index}")
        for index, problem in enumerate(problems)
    ]
