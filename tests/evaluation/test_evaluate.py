"""The real engine on a random model of the built-in kind."""

import json
import os
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vcore_verl.builtin.base_model import build_model
from vcore_verl.builtin.tokenizer import build
from vcore_verl.config.composition import ROOT
from vcore_verl.config.schema import Base
from vcore_verl.evaluation.evaluate import checkpoint_hash
from vcore_verl.evaluation.job import JOB, EvaluationError, Job, Sampling

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
NUM_PROMPTS = 40


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "hf"
    tokenizer = build()
    build_model(Base(layers=2), tokenizer, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "sums.parquet"
    rows = [
        {
            "data_source": "vcore/arithmetic",
            "prompt": [{"role": "user", "content": f"{i}+{i}=?"}],
            "reward_model": {"style": "rule", "ground_truth": str(2 * i)},
            "extra_info": {"prompt_id": f"sum-{i}"},
        }
        for i in range(NUM_PROMPTS)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def start(checkpoint, dataset, output, workers, max_tokens=32):
    sampling = Sampling(num_samples=2, temperature=1.0, top_p=1.0, max_tokens=max_tokens, seed=42, greedy=True)
    job = Job("checkpoint", str(checkpoint), {"sums": str(dataset)}, sampling, "float32", "cpu", workers)
    output.mkdir(exist_ok=True)
    (output / JOB).write_text(job.to_json())
    command = [sys.executable, "-m", "vcore_verl.evaluation", str(output / JOB)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "VERL_PLATFORM": "cpu"}
    with output.with_suffix(".log").open("a") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def finish(process, output):
    assert process.wait() == 0, output.with_suffix(".log").read_text()


def samples(output):
    rows = pq.read_table(output / "samples.parquet").to_pylist()
    return {(row["prompt_id"], row["decoding"], row["sample_idx"]): row for row in rows}


def test_an_evaluation_is_whole_and_its_seeds_do_not_depend_on_the_number_of_workers(checkpoint, dataset, tmp_path):
    texts = []
    for workers in (1, 2):
        output = tmp_path / str(workers)
        process = start(checkpoint, dataset, output, workers)
        finish(process, output)
        rows = samples(output)
        assert len(rows) == 3 * NUM_PROMPTS
        texts.append({key: row["response"] for key, row in rows.items()})
        last = json.loads((output / "progress.jsonl").read_text().splitlines()[-1])
        assert (last["step"], last["total"]) == (3 * NUM_PROMPTS, 3 * NUM_PROMPTS)
        assert not (output / "partial").exists()
    # Another batch is another order of float32 sums, and this model's logits are nearly tied: hence not all of them.
    assert sum(texts[0][key] == texts[1][key] for key in texts[0]) > 0.95 * len(texts[0])
    row = rows["sum-3", "sample", 0]
    assert (row["prompt"], row["gold"]) == ("<|user|>3+3=?<|im_end|><|assistant|>", "6")
    assert rows["sum-3", "sample", 1]["response"] != row["response"]


def test_an_interrupted_evaluation_continues_and_leaves_no_process(checkpoint, dataset, tmp_path):
    output = tmp_path / "out"
    process = start(checkpoint, dataset, output, workers=1, max_tokens=600)
    written = output / "partial" / "responses-0.jsonl"
    while process.poll() is None and not (written.exists() and written.read_text().count("\n") >= 3):
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while workers_of(output) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not workers_of(output)
    assert not (output / "results.json").exists()
    before = written.read_text().splitlines()[:3]
    process = start(checkpoint, dataset, output, workers=2, max_tokens=600)
    finish(process, output)
    rows = samples(output)
    assert len(rows) == 3 * NUM_PROMPTS
    for line in map(json.loads, before):
        assert rows[line["prompt_id"], line["decoding"], line["sample_idx"]]["response"] == line["response"]


def workers_of(output):
    found = subprocess.run(["pgrep", "-f", f"evaluation.worker {output}"], capture_output=True, text=True)
    return found.stdout.split()


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(EvaluationError, match=r"no config.json"):
        checkpoint_hash(tmp_path)
