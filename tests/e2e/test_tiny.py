"""One whole run of the tiny recipe, shortened, on the real stack: killed in SFT, killed in RL, finished, run again."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.e2e.conftest import BASE
from vcore_verl.config.composition import ROOT
from vcore_verl.config.recipe import load
from vcore_verl.runs.hashing import file_sha
from vcore_verl.runs.layout import Run
from vcore_verl.runs.metrics_file import last_step, read

pytestmark = pytest.mark.e2e

SFT_STEPS = 5
RL_STEPS = 4
SHORTER = [
    *BASE,
    f"sft.steps={SFT_STEPS}",
    "sft.batch_size=8",
    "sft.save_every=2",
    "init.probe.batch_size=8",
    f"rl.steps={RL_STEPS}",
    "rl.prompts_per_step=8",
    "rl.mini_batch_prompts=8",
    "rl.save_every=1",
    "evaluation.num_samples=2",
]
MINUTES = 60  # seconds

# SHA-256 of what the run leaves before RL, first recorded at commit 76c04c5. A change that alters numbers on purpose
# changes these values in the same commit. Weights depend on the processor's instructions too.
GOLDEN_DATA = {
    "sft": "a51f35b525115e42ab0085f332c70410770be3a27f65f089f6bc9c6241dc1d27",
    "rl": "725263bde624ee233fb14fab86df0c6500d622720f017ddb66e462b6ffbe7cfe",
    "in_domain": "7bb278b7afbd01f02113702cb24839a6b73fed3ad37912a85d54c7a2d2347a7c",
    "out_of_domain": "c9e99c5a1638ee4b4d79c8f3af5c13492b69a4266aa33eaef4916221859fdd9a",
}
GOLDEN_WEIGHTS = {  # processor's vendor and PyTorch's instruction set -> base and SFT checkpoint
    "AuthenticAMD AVX512": (
        "188eac6d340992d2d031c4b6ddc033a58c38bebc0c2bbac2f32e26b431d90182",
        "996f4105c16db8df2fec5ead7ad48cb0355c8d6255df5551e6cbeb15ff249405",
    ),
}


def command(output: Path, overrides: Sequence[str] = SHORTER) -> list[str]:
    return [sys.executable, "-m", "vcore_verl", "run", "tiny", f"output_dir={output}", *overrides]


def descendants_of_the_run(output: Path) -> list[int]:
    """Processes, of any parent, that were started for this run."""
    found = []
    for process in psutil.process_iter(["pid", "environ"]):
        if str(output) in " ".join((process.info["environ"] or {}).values()) and process.pid != os.getpid():
            found.append(process.pid)
    return found


def run_until(output: Path, metrics: Path, step: int) -> str:
    """Start the run and kill -9 the launcher once `metrics` holds `step`; what it had printed."""
    env = os.environ | {"VCORE_TEST_RUN": str(output)}
    log = output / f"until_{metrics.parent.name}.log"
    with log.open("wb") as printed:
        launcher = subprocess.Popen(command(output), cwd=ROOT, stdout=printed, stderr=subprocess.STDOUT, env=env)
    deadline = time.monotonic() + 15 * MINUTES
    while last_step(metrics) < step:
        assert launcher.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    while descendants_of_the_run(output):
        assert time.monotonic() < deadline, "processes outlive the launcher"
        time.sleep(0.5)
    return log.read_text()


def run_to_the_end(output: Path, overrides: Sequence[str] = SHORTER) -> tuple[str, float]:
    """What the run printed, and how many seconds it took."""
    start = time.monotonic()
    argv, env = command(output, overrides), os.environ | {"VCORE_TEST_RUN": str(output)}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=15 * MINUTES)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, time.monotonic() - start


@pytest.fixture(scope="module")
def finished(tiny_base, tmp_path_factory):
    """The run directory, and what the third call printed, after a kill in SFT and a kill in RL."""
    output = tmp_path_factory.mktemp("runs")
    shutil.copytree(tiny_base, output / tiny_base.name, symlinks=True)
    run = Run(load("tiny", [f"output_dir={output}", *SHORTER]))
    run_until(output, run.sft / "metrics.jsonl", step=3)
    run_until(output, run.rl / "metrics.jsonl", step=2)
    printed, _ = run_to_the_end(output)
    return run, printed


def test_training_killed_midway_reaches_its_last_step_with_every_step_once(finished):
    run, _ = finished
    assert [line["step"] for line in read(run.sft / "metrics.jsonl")] == list(range(1, SFT_STEPS + 1))
    assert [line["step"] for line in read(run.rl / "metrics.jsonl")] == list(range(1, RL_STEPS + 1))


def test_the_last_call_skips_what_was_done_and_resumes_what_was_killed(finished):
    _, printed = finished
    assert "[5/11] sft: skipped" in printed
    assert "continues where it was stopped" in printed


def test_data_are_the_recorded_ones(finished):
    run, _ = finished
    assert {name: file_sha(run.data / f"{name}.parquet") for name in GOLDEN_DATA} == GOLDEN_DATA


def test_base_and_sft_weights_are_the_recorded_ones_although_sft_was_killed(finished):
    run, _ = finished
    vendor = re.search(r"^vendor_id\s*: (\w+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    processor = f"{vendor[1] if vendor else 'unknown'} {torch.backends.cpu.get_cpu_capability()}"
    found = tuple(file_sha(folder / "model.safetensors") for folder in (run.base_hf, run.sft_hf))
    if processor not in GOLDEN_WEIGHTS:
        pytest.skip(f"no weights are recorded for {processor}; this run's are {found}")
    assert found == GOLDEN_WEIGHTS[processor]


def test_each_stage_changed_the_weights(finished):
    run, _ = finished
    base, sft, rl = (
        AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).model.embed_tokens.weight
        for path in (run.base_hf, run.sft_hf, run.rl_hf)
    )
    assert not torch.equal(base, sft)
    assert not torch.equal(sft, rl)


@pytest.mark.parametrize("stage", ["base", "pre_rl", "post_rl"])
def test_results_are_the_means_of_the_samples(finished, stage):
    run, _ = finished
    folder = {"base": run.eval_base, "pre_rl": run.eval_pre, "post_rl": run.eval_post}[stage]
    results = json.loads((folder / "results.json").read_text())
    samples = pq.read_table(folder / "samples.parquet").to_pandas()
    assert results["stage"] == stage
    assert {"schema_version", "checkpoint", "sampling"} <= results.keys()
    assert results["datasets"].keys() == {"in_domain", "out_of_domain"}
    for name, summary in results["datasets"].items():
        rows = samples[(samples.dataset == name) & (samples.decoding == "sample")]
        assert summary["num_prompts"] == rows.prompt_id.nunique() == 24
        assert summary["avg_at_n"]["mean"] == pytest.approx(rows.score.mean())
        assert summary["mean_tokens"] == pytest.approx(rows.num_tokens.mean())
        assert {"pass_at_k", "status_counts", "truncated_frac"} <= summary.keys()


def test_the_report_compares_before_and_after(finished):
    run, printed = finished
    comparison = json.loads((run.report / "comparison.json").read_text())
    (arm,) = comparison["arms"]
    assert (arm["init"], arm["rl"], arm["seeds"]) == ("vcore", "grpo", [0])
    figure = arm["datasets"]["in_domain"]["delta"]
    assert figure["ci95"][0] <= figure["mean"] <= figure["ci95"][1]
    assert (run.report / "report.md").stat().st_size > 500
    assert "Original" in printed


def test_the_run_records_what_made_it(finished):
    run, _ = finished
    manifest = json.loads((run.dir / "manifest.json").read_text())
    assert manifest["versions"]["verl"] == "0.9.1"
    assert manifest["stages"].keys() == {"rl", "export_rl", "evaluate_post_rl"}
    assert (run.rl_home / "recipe.yaml").is_file() and (run.sft_home / "recipe.yaml").is_file()
    assert (run.rl_home / "logs" / "latest" / "evaluate_post_rl.log").is_file()
    assert (run.sft_home / "logs" / "latest" / "evaluate_pre_rl.log").is_file()


def test_a_finished_run_is_skipped_within_twenty_seconds(finished):
    run, _ = finished
    printed, seconds = run_to_the_end(run.root.parent)
    assert printed.count("skipped") == 11
    assert seconds < 20


def test_a_run_that_differs_in_rl_alone_starts_from_the_same_sft(finished):
    run, _ = finished
    without_rl = [*(word for word in SHORTER if not word.startswith("rl.")), "rl=none"]
    printed, _ = run_to_the_end(run.root.parent, [*without_rl, "--no-report"])
    assert printed.count("skipped") == 7


def test_a_finished_run_leaves_no_process_behind(finished):
    run, _ = finished
    assert descendants_of_the_run(run.root.parent) == []


def test_readiness_of_the_start_is_measured_from_a_pool_of_its_answers(finished):
    run, _ = finished
    argv = [sys.executable, "-m", "vcore_verl", "readiness", str(run.dir), "--prompts", "8", "--samples", "4"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=5 * MINUTES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Rank correlation with RL over 1 runs: too few runs" in done.stdout
    found = json.loads((run.sft / "readiness" / "readiness.json").read_text())
    figures = {name: item["mean"] for name, item in found["figures"].items()}
    assert sum(found["rates"].values()) == 8
    assert 0 <= figures["pass@1"] <= figures["pass@4"] <= 1
    vocabulary = AutoModelForCausalLM.from_pretrained(run.sft_hf).config.vocab_size
    assert 0 < figures["token entropy"] < math.log(vocabulary)
    assert 0 <= figures["answer entropy"] <= math.log(4)
