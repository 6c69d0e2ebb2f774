"""Writes the Parquet files of a run with built-in data. Imports no torch.

SFT rows: `messages` (user, assistant) and `spans`, the kinds of the assistant's text (see `task.Span`).
RL and test rows: verl's format (verl/utils/dataset/rl_dataset.py): data_source, prompt, ability, reward_model,
extra_info. No problem is in two sets: training and tests use different splits, and tests may use different ranges.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from random import Random
from typing import Any

from reward import domain_of
from vcore_verl.builtin.task import Problem, Task, Trace
from vcore_verl.builtin.tasks import TASKS
from vcore_verl.config.checks import BUILTIN_TASKS
from vcore_verl.config.recipe import Recipe
from vcore_verl.data.rows import rl_row, sft_row, user, write_rows
from vcore_verl.data.test_sets import prepare_test_sets
from vcore_verl.runs.hashing import write_whole
from vcore_verl.runs.layout import VALIDATION, Run
from vcore_verl.runs.metrics_file import MetricsFile

# Fixed: all seeds of a recipe share the data and differ only in training.
SEEDS = {"sft": 1, "rl": 3, "in_domain": 4, "out_of_domain": 5, "kept": 6, "validation": 7}
TRACES = 2


def prepare(recipe: Recipe, run: Run) -> None:
    """Write the training sets, then `data.json` with the row counts, which marks them as complete."""
    task, traces = TASKS[recipe.data.sft], Random(TRACES)
    supervised = _draw(task, "sft", recipe.data.num_sft)
    tables = {
        "sft": [_sft_row(task, problem, task.solve(problem, traces)) for problem in supervised],
        "rl": _rl_rows(task, "rl", recipe.data.num_rl, run),
    }
    progress = MetricsFile(run.data / "progress.jsonl", len(tables))
    for step, (name, rows) in enumerate(tables.items(), start=1):
        write_rows(run.data / f"{name}.parquet", rows)
        progress.log({}, step)
    counts = {name: len(rows) for name, rows in tables.items()}
    summary = {"rows": counts, "decontaminated": list(BUILTIN_TASKS[recipe.data.sft])}
    write_whole(run.data / "data.json", json.dumps(summary, indent=2) + "\n")


def prepare_tests(recipe: Recipe, run: Run) -> None:
    """Write the evaluation sets: the task's own and published benchmarks."""
    name, count = recipe.data.sft, recipe.data.num_test
    prepare_test_sets(recipe, run, {test: _rl_rows(TASKS[name], test, count, run) for test in BUILTIN_TASKS[name]})


def prepare_validation(recipe: Recipe, run: Run) -> None:
    """Write the validation set: in-domain problems of the test split that are in no evaluation set."""
    name, data = recipe.data.sft, recipe.data
    task = TASKS[name]
    tested = {problem.question for test in BUILTIN_TASKS[name] for problem in _draw(task, test, data.num_test)}
    drawn = task.draw("in_domain", data.num_validation + len(tested), Random(SEEDS[VALIDATION]))  # distinct problems
    kept = [problem for problem in drawn if problem.question not in tested][: data.num_validation]
    write_rows(run.validation_set, _rows_of(task, VALIDATION, kept, run))


def _draw(task: Task, name: str, count: int) -> Sequence[Problem]:
    return task.draw(name, count, Random(SEEDS[name]))


def _sft_row(task: Task, problem: Problem, trace: Trace) -> dict[str, Any]:
    domain = domain_of(task.data_source).name
    return sft_row(user(problem.question), trace.text, domain) | {"spans": [asdict(span) for span in trace.spans]}


def _rl_rows(task: Task, name: str, count: int, run: Run) -> list[dict[str, Any]]:
    return _rows_of(task, name, _draw(task, name, count), run)


def _rows_of(task: Task, name: str, problems: Sequence[Problem], run: Run) -> list[dict[str, Any]]:
    truths = [problem.ground_truth(run.tests) for problem in problems]
    return [
        rl_row(task.data_source, user(problem.question), truth, name, index, f"{name}-{index}")
        for index, (problem, truth) in enumerate(zip(problems, truths, strict=True))
    ]
