"""Reads an evaluation from disk as arrays, and checks it. Shape suffixes: P prompts, S samples of one prompt."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vcore_verl.config.errors import InputError
from vcore_verl.evaluation.grading import OTHER_GRADERS
from vcore_verl.evaluation.responses import GREEDY, SAMPLE
from vcore_verl.evaluation.results import RESULTS, SAMPLES, SCHEMA_VERSION, TRUNCATED
from vcore_verl.runs.hashing import file_sha

SAMPLED = "sampled"  # the decoding whose accuracy is the mean over samples; the other is GREEDY
_KEYS = {"stage", "sampling", "grader_version", "dtype", "device", "versions", "samples_sha256", "datasets"}
_COLUMNS = ["dataset", "prompt_id", "decoding", "sample_idx", "score", *OTHER_GRADERS, "finish_reason", "num_tokens"]


class ReportError(InputError):
    """Results that cannot be reported on; the message is one line."""


@dataclass(frozen=True)
class DatasetScores:
    """Scores on one data set, prompts sorted by id."""

    prompt_ids: tuple[str, ...]
    score_PS: NDArray[np.float64]
    num_tokens_PS: NDArray[np.float64]
    truncated_PS: NDArray[np.bool_]
    greedy_P: NDArray[np.float64] | None
    others_P: dict[tuple[str, str], NDArray[np.float64]]  # by other graders: (grader, decoding) -> scores by prompt

    def by_prompt(self, decoding: str) -> NDArray[np.float64]:
        """Scores by prompt: those of the greedy responses, or means over samples."""
        return self.greedy_P if decoding == GREEDY and self.greedy_P is not None else self.score_PS.mean(axis=1)


@dataclass(frozen=True)
class Evaluation:
    """An evaluation: its results.json and the scores from its samples.parquet."""

    folder: Path
    results: dict[str, Any]
    datasets: dict[str, DatasetScores]


def read_evaluation(folder: Path) -> Evaluation:
    """Read and check `folder`. Raises `ReportError` for files that are missing, malformed or inconsistent."""
    results = _read_results(folder / RESULTS)
    samples = folder / SAMPLES
    if not samples.is_file() or file_sha(samples) != results["samples_sha256"]:
        raise ReportError(f"{samples} is not the file that its {RESULTS} was made from")
    table = pq.read_table(samples, columns=_COLUMNS)
    datasets = {name: _read_dataset(name, table) for name in results["datasets"]}
    return Evaluation(folder, results, datasets)


def contamination(evaluations: Iterable[Evaluation]) -> list[str]:
    """A line naming evaluated data sets whose problems may be in the training data, if any."""
    summaries = [item for evaluation in evaluations for item in evaluation.results["datasets"].items()]
    names = sorted({name for name, summary in summaries if summary.get("decontaminated") is False})
    line = f"the training data may hold problems of {', '.join(names)}: data.decontaminate leaves them out"
    return [line] if names else []


def unjudged(evaluation: Evaluation) -> list[str]:
    """A line for each data set with problems that nothing here can judge."""
    return [
        f"{name}: {summary['unjudged']} of {summary['num_prompts']} problems cannot be judged here and count as failed"
        for name, summary in evaluation.results["datasets"].items()
        if "unjudged" in summary
    ]


def _read_results(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ReportError(f"{path} is missing: the evaluation did not finish")
    try:
        results = json.loads(path.read_text())
    except ValueError as error:
        raise ReportError(f"{path} is not JSON: {error}") from error
    if not isinstance(results, dict) or results.get("schema_version") != SCHEMA_VERSION:
        raise ReportError(f"{path} is not an evaluation of schema version {SCHEMA_VERSION}")
    if missing := _KEYS - set(results):
        raise ReportError(f"{path} lacks {', '.join(sorted(missing))}")
    return results


def _read_dataset(name: str, table: pa.Table) -> DatasetScores:
    rows = table.filter(pc.equal(table["dataset"], name)).sort_by(
        [("prompt_id", "ascending"), ("sample_idx", "ascending")]
    )
    samples = rows.filter(pc.equal(rows["decoding"], SAMPLE))
    greedy = rows.filter(pc.equal(rows["decoding"], GREEDY))
    prompt_ids = tuple(dict.fromkeys(samples["prompt_id"].to_pylist()))

    graders = [grader for grader in OTHER_GRADERS if samples[grader].null_count == 0]

    def matrix(column: pa.ChunkedArray) -> NDArray[Any]:
        return column.to_numpy().reshape(len(prompt_ids), -1)

    return DatasetScores(
        prompt_ids=prompt_ids,
        score_PS=matrix(samples["score"]).astype(np.float64),
        num_tokens_PS=matrix(samples["num_tokens"]).astype(np.float64),
        truncated_PS=matrix(pc.equal(samples["finish_reason"], TRUNCATED)).astype(bool),
        greedy_P=greedy["score"].to_numpy().astype(np.float64) if greedy.num_rows else None,
        others_P={(name, SAMPLED): matrix(samples[name]).mean(axis=1) for name in graders}
        | {(name, GREEDY): greedy[name].to_numpy() for name in graders if greedy.num_rows},
    )
