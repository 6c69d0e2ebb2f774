"""Test prompts: parquet files in verl's RL row format. Imports no torch."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from vcore_verl.evaluation.job import EvaluationError
from vcore_verl.runs.layout import TESTS

_COLUMNS = ("data_source", "prompt", "reward_model")


@dataclass(frozen=True)
class Prompt:
    """One problem. `key` identifies it across data sets; the grader gets `extra_info` as it would from verl.

    `tests` is the folder of the tests that `gold` refers to, if it does.
    """

    dataset: str
    prompt_id: str
    data_source: str
    messages: list[dict[str, str]]
    gold: str
    extra_info: dict[str, Any]
    tests: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.dataset, self.prompt_id


def read_prompts(datasets: dict[str, str]) -> list[Prompt]:
    """The prompts of all data sets, in the order of their files.

    Raises `EvaluationError` for a file that is missing, (nearly) empty, not in the row format, or repeats an id.
    """
    return [prompt for name, path in datasets.items() for prompt in _read(name, Path(path))]


def _read(name: str, path: Path) -> list[Prompt]:
    if not path.is_file():
        raise EvaluationError(f"data set '{name}': {path} does not exist")
    table = pq.read_table(path)
    missing = [column for column in _COLUMNS if column not in table.column_names]
    if missing:
        raise EvaluationError(
            f"data set '{name}': {path} lacks the columns {', '.join(missing)} of verl's RL row format"
        )
    prompts = [_prompt(name, position, row, str(path.parent / TESTS)) for position, row in enumerate(table.to_pylist())]
    if len(prompts) < 2:
        raise EvaluationError(f"data set '{name}': {path} holds {len(prompts)} prompts; an interval needs at least two")
    if len({prompt.prompt_id for prompt in prompts}) < len(prompts):
        raise EvaluationError(f"data set '{name}': {path} has the same extra_info.prompt_id on several rows")
    return prompts


def _prompt(name: str, position: int, row: dict[str, Any], tests: str) -> Prompt:
    extra_info = row.get("extra_info") or {}
    return Prompt(
        dataset=name,
        prompt_id=str(extra_info.get("prompt_id", extra_info.get("index", position))),
        data_source=row["data_source"],
        messages=row["prompt"],
        gold=str(row["reward_model"]["ground_truth"]),
        extra_info=extra_info,
        tests=tests,
    )


def response_seed(seed: int, prompt: Prompt, sample_idx: int) -> int:
    """The seed of one response, in [0, 2**32): the same for all checkpoints, so that arms use common random numbers."""
    text = f"{seed}/{prompt.dataset}/{prompt.prompt_id}/{sample_idx}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
