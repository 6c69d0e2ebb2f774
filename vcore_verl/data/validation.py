"""Writes the validation set of a run with published, generated or local data: problems for choosing settings.

No training and no evaluation set has any of them. Training data are not touched: problems of a published or local
source are those that follow the training problems in the random order of the source. Imports no torch.
"""

from functools import partial
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from transformers import AutoTokenizer

from reward import DOMAINS
from vcore_verl.config.schema import Recipe
from vcore_verl.data import generated, templates
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.code.judging import ground_truth
from vcore_verl.data.decontaminate import chosen, problems
from vcore_verl.data.evaluated import EvaluatedProblems
from vcore_verl.data.funnel import table
from vcore_verl.data.hub import DataError
from vcore_verl.data.prepare import expected_rows, row_checks
from vcore_verl.data.progress import Progress
from vcore_verl.data.published import mirror_folder
from vcore_verl.data.rows import Messages, rl_row, write_rows
from vcore_verl.data.selection import SEED, select
from vcore_verl.data.sources import Example, open_source
from vcore_verl.runs.layout import VALIDATION, Run


def prepare_validation(recipe: Recipe, run: Run) -> None:
    """Write `data.num_validation` problems of `data.rl`, as verl's RL rows.

    Raises `DataError` if the source is unavailable, or has too few problems besides those of training.
    """
    data, progress = recipe.data, Progress(run.validation_set.with_suffix(".jsonl"), expected_rows(recipe))
    if generated.is_generated(data.rl):
        rows = generated.validation_rows(data.rl, data.num_test, data.num_validation)
    else:
        rows = [
            rl_row(
                example.data_source,
                example.prompt,
                ground_truth(example, run.tests),
                VALIDATION,
                index,
                f"{VALIDATION}-{index}",
            )
            for index, example in enumerate(_left_over(recipe, run, progress))
        ]
    write_rows(run.validation_set, rows)
    progress.end()


def _left_over(recipe: Recipe, run: Run, progress: Progress) -> list[Example]:
    """Problems that pass all checks of RL's, and are in no training set and no benchmark that is evaluated."""
    data = recipe.data
    source, stream = open_source("rl", data.rl, mirror_folder(data.mirror), data.rl_revision)
    domain = DOMAINS[source.domain]
    tokenizer = AutoTokenizer.from_pretrained(run.base_hf if run.base_hf.is_dir() else recipe.model.path)
    benchmarks = dict.fromkeys([*chosen(recipe), *(name for name in recipe.evaluation.datasets if name in BENCHMARKS)])
    evaluation = EvaluatedProblems(problems(recipe, benchmarks), domain)
    supervised = {domain.question_key(text) for row in _rows(run, "sft") for text in _asked(row["messages"][:-1])}
    trained = {domain.question_key(text) for row in _rows(run, "rl") for text in _asked(row["prompt"])}
    checks = partial(row_checks, "rl", source, recipe, tokenizer, evaluation, supervised)
    examples, funnel = select(source, stream, data.num_rl + data.num_validation, checks, data.solve_rate, progress.row)
    made = {"source": stream.origin, "form": source.name, "revision": stream.revision, "seed": SEED}
    Console(width=120).print(table("rl", made | {"rows_read": funnel.read, "funnel": funnel.steps()}))
    found = [example for example in examples if domain.question_key(example.problem) not in trained]
    if len(found) < data.num_validation:
        raise DataError(
            f"data.num_validation={data.num_validation}, and {stream.origin} has {len(found)} problems besides the"
            f" data.num_rl={data.num_rl} of RL: set data.num_validation or data.num_rl to less"
        )
    return found[: data.num_validation]


def _rows(run: Run, name: str) -> list[dict[str, Any]]:
    return pq.read_table(run.data / f"{name}.parquet").to_pylist()


def _asked(prompt: Messages) -> set[str]:
    """The problem of a training row, which is all of the user's turns or, after a solved example, the last one."""
    turns = [turn["content"] for turn in prompt if turn["role"] == "user"]
    return {templates.question_of(text) for text in ("\n".join(turns), turns[-1])}
