"""A shortened run of `tiny_code`: SFT on programs, GRPO rewarded by hidden tests in the jail, evaluation."""

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from reward import STATUSES
from vcore_verl.config.composition import ROOT
from vcore_verl.config.recipe import load
from vcore_verl.runs.layout import Run
from vcore_verl.runs.metrics_file import read

pytestmark = pytest.mark.e2e

SHORTER = [
    "init=random",  # keeps the tokens of the program
    "base.steps=90",
    "data.num_sft=100",
    "data.num_rl=40",
    "data.num_test=20",
    "sft.steps=4",
    "sft.batch_size=8",
    "sft.save_every=2",
    "rl.steps=2",
    "rl.prompts_per_step=8",
    "rl.mini_batch_prompts=8",
    "rl.save_every=2",
    "evaluation.num_samples=2",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Run:
    overrides = [f"output_dir={tmp_path_factory.mktemp('code')}", *SHORTER]
    command = [sys.executable, "-m", "vcore_verl", "run", "tiny_code", *overrides]
    for expected in ("", "sft: skipped"):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2700)
        assert done.returncode == 0 and expected in done.stdout, done.stdout + done.stderr
    return Run(load("tiny_code", overrides))


def test_rl_is_rewarded_by_tests_in_the_jail(finished):
    steps = read(finished.rl / "metrics.jsonl")
    assert len(steps) == 2
    for step in steps:
        assert sum(step[f"reward/status/{status}"] for status in STATUSES) == pytest.approx(1)
        assert step["reward/tests_run"] > 0 and step["reward/cpu_seconds"] > 0


def test_evaluation_counts_the_statuses_of_programs(finished):
    for folder in (finished.eval_base, finished.eval_pre, finished.eval_post):
        datasets = json.loads((folder / "results.json").read_text())["datasets"]
        assert set(datasets) == {"in_domain", "out_of_domain"}
        for found in datasets.values():
            assert found["domain"] == "code" and "other_graders" not in found
            assert list(found["status_counts"]) == list(STATUSES) and sum(found["status_counts"].values()) == 40


def test_rows_stay_small_and_refer_to_tests_beside_them(finished):
    rows = pq.read_table(finished.data / "rl.parquet").to_pylist()
    assert {row["ability"] for row in rows} == {"code"}
    for row in rows:
        truth = row["reward_model"]["ground_truth"]
        sha = json.loads(truth)["tests"]
        assert len(truth) < 400 and list(finished.tests.rglob(f"{sha}*"))


def test_the_report_has_no_column_of_mathematics(finished):
    report = (finished.report / "report.md").read_text()
    assert "runtime error" in report and "math_verify" not in report.partition("## Evaluation")[0]
