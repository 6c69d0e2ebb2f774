"""An evaluation in the layout of lm-evaluation-harness, for tools that read it. Imports no torch.

As lm_eval 0.4.13 writes and reads it (loggers/evaluation_tracker.py).
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
    results = json.loads((folder / RESULTS).read_text())
    rows = pq.read_table(folder / SAMPLES).to_pylist()
    output.mkdir(parents=True, exist_ok=True)
    LAYOUTS[layout](results, rows, output)


def to_lm_eval(results: Row, rows: list[Row], output: Path) -> None:
    """`<model>/results_<time>.json` and `<model>/samples_<task>_<time>.jsonl`: greedy responses, as `exact_match`.

    lm-evaluation-harness has one response a document; where there is no greedy one, it is the first sample.
    """
    place, time = output / _model_name(results), _time()
    place.mkdir(exist_ok=True)
    decoding = GREEDY if results["sampling"]["greedy"] else SAMPLE
    scores = {}
    for task, members in _by_dataset(rows):
        chosen = [row for row in members if row["decoding"] == decoding and row["sample_idx"] == 0]
        lines = [json.dumps(_lm_eval_sample(position, row, results)) for position, row in enumerate(chosen)]
        (place / f"samples_{task}_{time}.jsonl").write_text("\n".join(lines) + "\n")
        mean = sum(row["score"] for row in chosen) / len(chosen)
        error = (mean * (1 - mean) / (len(chosen) - 1)) ** 0.5
        scores[task] = {"alias": task, "exact_match,none": mean, "exact_match_stderr,none": error}
    content = {
        "results": scores,
        "configs": {task: {"task": task, "output_type": "generate_until"} for task in scores},
        "versions": dict.fromkeys(scores, results["schema_version"]),
        "n-shot": dict.fromkeys(scores, 0),
        "higher_is_better": {task: {"exact_match": True} for task in scores},
        "n-samples": {task: _counts(results, task) for task in scores},
        "config": {
            "model": "vllm",
            "model_args": f"pretrained={results['checkpoint']}",
            "gen_kwargs": results["sampling"],
        },
        "model_name": results["checkpoint"],
    }
    (place / f"results_{time}.json").write_text(json.dumps(content, indent=2) + "\n")


def _counts(results: Row, task: str) -> Row:
    number = results["datasets"][task]["num_prompts"]
    return {"original": number, "effective": number}


def _lm_eval_sample(position: int, row: Row, results: Row) -> Row:
    doc = {"prompt_id": row["prompt_id"], "prompt": row["prompt"], "answer": row["gold"]}
    return {
        "doc_id": position,
        "doc": doc,
        "target": row["gold"],
        "arguments": {"gen_args_0": {"arg_0": row["prompt"], "arg_1": results["sampling"]}},
        "resps": [[row["response"]]],
        "filtered_resps": [row["extracted"]],
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": _sha(json.dumps(doc, sort_keys=True)),
        "prompt_hash": _sha(row["prompt"]),
        "target_hash": _sha(row["gold"]),
        "exact_match": row["score"],
    }


LAYOUTS: dict[str, Callable[[Row, list[Row], Path], None]] = {"lm_eval": to_lm_eval}


def _by_dataset(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """In the order of the file, which keeps a data set's rows together, and a prompt's samples among them."""
    return [(dataset, list(group)) for dataset, group in groupby(rows, key=lambda row: row["dataset"])]


def _model_name(results: Row) -> str:
    """Unique among checkpoints that are all called `hf`."""
    return f"{Path(results['checkpoint']).name}-{results['checkpoint_sha']}"


def _time() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H-%M-%S.%f")


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
