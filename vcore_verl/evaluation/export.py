"""Exports an evaluation in the layout of lm-evaluation-harness, for tools that read it. Imports no torch.

The layout is that of lm_eval 0.4.13 (loggers/evaluation_tracker.py).
"""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from vcore_verl.evaluation.job import EvaluationError
from vcore_verl.evaluation.responses import GREEDY, SAMPLE
from vcore_verl.evaluation.results import RESULTS, SAMPLES

Row = dict[str, Any]


def export(folder: Path, layout: str, output: Path) -> None:
    """Write the evaluation in `folder` to `output` in `layout`, a key of `LAYOUTS`."""
    if not (folder / RESULTS).is_file():
        raise EvaluationError(f"{folder} holds no finished evaluation ({RESULTS} is missing)")
    LAYOUTS[layout](json.loads((folder / RESULTS).read_text()), pq.read_table(folder / SAMPLES).to_pylist(), output)


def to_lm_eval(results: Row, rows: list[Row], output: Path) -> None:
    """`<model>/results_<time>.json` and `<model>/samples_<task>_<time>.jsonl`: greedy responses, as `exact_match`.

    lm-evaluation-harness has one response per document; without greedy responses, the first sample is exported.
    """
    # The hash distinguishes checkpoints whose folders are all named `hf`.
    place = output / f"{Path(results['checkpoint']).name}-{results['checkpoint_sha']}"
    time = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H-%M-%S.%f")
    place.mkdir(parents=True, exist_ok=True)
    decoding = GREEDY if results["sampling"]["greedy"] else SAMPLE
    chosen = [row for row in rows if row["decoding"] == decoding and row["sample_idx"] == 0]
    scores, counts = {}, {}
    for task, members in groupby(chosen, key=lambda row: row["dataset"]):  # rows of a data set are adjacent
        lines = [_sample(position, row, results["sampling"]) for position, row in enumerate(members)]
        (place / f"samples_{task}_{time}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        mean, counts[task] = sum(line["exact_match"] for line in lines) / len(lines), len(lines)
        error = (mean * (1 - mean) / (len(lines) - 1)) ** 0.5
        scores[task] = {"alias": task, "exact_match,none": mean, "exact_match_stderr,none": error}
    content = {
        "results": scores,
        "configs": {task: {"task": task, "output_type": "generate_until"} for task in scores},
        "versions": dict.fromkeys(scores, results["schema_version"]),
        "n-shot": dict.fromkeys(scores, 0),
        "higher_is_better": {task: {"exact_match": True} for task in scores},
        "n-samples": {task: {"original": count, "effective": count} for task, count in counts.items()},
        "config": {
            "model": "vllm",
            "model_args": f"pretrained={results['checkpoint']}",
            "gen_kwargs": results["sampling"],
        },
        "model_name": results["checkpoint"],
    }
    (place / f"results_{time}.json").write_text(json.dumps(content, indent=2) + "\n")


def _sample(position: int, row: Row, sampling: Row) -> Row:
    doc = {"prompt_id": row["prompt_id"], "prompt": row["prompt"], "answer": row["gold"]}
    return {
        "doc_id": position,
        "doc": doc,
        "target": row["gold"],
        "arguments": {"gen_args_0": {"arg_0": row["prompt"], "arg_1": sampling}},
        "resps": [[row["response"]]],
        "filtered_resps": [row["extracted"]],
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": _sha(json.dumps(doc, sort_keys=True)),
        "prompt_hash": _sha(row["prompt"]),
        "target_hash": _sha(row["gold"]),
        "exact_match": row["score"],
    }


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


LAYOUTS: dict[str, Callable[[Row, list[Row], Path], None]] = {"lm_eval": to_lm_eval}
