"""Rows in the trainers' formats, and writing them to Parquet. Imports no torch."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reward import domain_of
from reward.mathematics import MATHEMATICS
from vcore_verl.runs.hashing import replacement

Messages = list[dict[str, str]]


def sft_row(prompt: Messages, response: str, domain: str = MATHEMATICS.name) -> dict[str, Any]:
    """A row as `sft.dataset.SupervisedDataset` reads it; without `ability` it is one of mathematics."""
    row = {"messages": [*prompt, {"role": "assistant", "content": response}]}
    return row if domain == MATHEMATICS.name else row | {"ability": domain}


def rl_row(
    data_source: str, prompt: Messages, ground_truth: Any, split: str, index: int, prompt_id: str
) -> dict[str, Any]:
    """verl's format (verl/utils/dataset/rl_dataset.py); `data_source` chooses the grader, `prompt_id` is unique."""
    return {
        "data_source": data_source,
        "prompt": prompt,
        "ability": domain_of(data_source).name,
        "reward_model": {"style": "rule", "ground_truth": ground_truth},
        "extra_info": {"split": split, "index": index, "prompt_id": prompt_id},
    }


def user(content: str) -> Messages:
    """A prompt of one user message."""
    return [{"role": "user", "content": content}]


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write a Parquet file atomically: readers see the old file or the new one, even after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacement(path) as partial:
        pq.write_table(pa.Table.from_pylist(list(rows)), partial)
