"""The SFT stage as a process: resumable after kill -9 and at epoch boundaries."""

import json
import shutil
import time
from pathlib import Path

import pytest

from tests.config.test_objectives import POWER
from tests.sft.launch import SFT, kill, settings, torchrun
from tests.tensorboard import scalars
from vcore_verl.config.recipe import load
from vcore_verl.runs.layout import Run
from vcore_verl.sft.command import verl_settings

pytestmark = pytest.mark.slow

VCORE = {"name": "vcore", "kl_budget": 0.1, "probe": {"batch_size": 4}}


def losses(path: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert {line["total"] for line in lines} == {6}
    return {line["step"]: line["train/loss"] for line in lines}


def test_killed_run_continues_as_if_nothing_had_happened(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    changes = {"+init": VCORE, "trainer": {"save_freq": 2, "max_ckpt_to_keep": 2}}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    torchrun(2, *SFT, *settings(start, whole, 2, **changes), log=whole / "log")
    changes["trainer"] |= {"logger": ["tensorboard"]}
    monkeypatch.setenv("TENSORBOARD_DIR", str(broken / "tensorboard"))
    process = torchrun(2, *SFT, *settings(start, broken, 2, **changes), log=broken / "log", wait=False)
    metrics = broken / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.read_text().count("\n") >= 3):
        assert time.monotonic() < deadline, (broken / "log").read_text()[-2000:]
        time.sleep(0.02)
    kill(process)
    with metrics.open("a") as file:
        file.write('{"step": 4, "tot')  # what a kill in the middle of a write leaves
    torchrun(2, *SFT, *settings(start, broken, 2, **changes), log=broken / "log2")
    assert losses(metrics) == losses(whole / "metrics.jsonl")
    assert scalars(broken / "tensorboard", "train/loss") == pytest.approx(losses(metrics))
    assert (broken / "checkpoints" / "latest_checkpointed_iteration.txt").read_text() == "6"


def test_resumes_at_an_epoch_boundary_and_after_the_last_step(start: Path, tmp_path: Path):
    # 48 examples in batches of 24: an epoch ends at step 2, where verl 0.9.1 resumes with an exhausted data loader.
    # The running average resumes too, and the run between two of the probes at steps 1, where there is no past, and 5.
    init = VCORE | {"probe": {"gradient": "running", "every": 4}}
    changes = {"+init": init, "data": {"train_batch_size": 24}, "trainer": {"save_freq": 2}}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    torchrun(1, *SFT, *settings(start, whole, 1, **changes), log=whole / "log")
    shutil.copytree(whole, parts)
    (parts / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("2")
    torchrun(1, *SFT, *settings(start, parts, 1, **changes), log=parts / "log2")
    assert "Found latest checkpoint" in (parts / "log2").read_text()
    assert losses(parts / "metrics.jsonl") == losses(whole / "metrics.jsonl")
    distances = [json.loads(line)["weights/kl"] for line in (parts / "metrics.jsonl").read_text().splitlines()]
    assert distances == pytest.approx([0, 0, 0, 0, 0.1, 0], abs=1e-4)
    torchrun(1, *SFT, *settings(start, parts, 1, **changes), log=parts / "log3")
    assert len(losses(parts / "metrics.jsonl")) == 6


def test_iw_sft_computes_the_reference_once_and_starts_as_sft(start: Path, tmp_path: Path):
    changes = {"+init": {"name": "iw_sft"}, "trainer": {"total_training_steps": 1, "resume_mode": "disable"}}
    torchrun(1, *SFT, *settings(start, tmp_path, 1, **changes), log=tmp_path / "log")
    (cache,) = start.glob("sft.reference-*.pt")
    written = cache.stat().st_mtime_ns
    torchrun(1, *SFT, *settings(start, tmp_path, 1, **changes), log=tmp_path / "log2")
    assert cache.stat().st_mtime_ns == written
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert line["train/loss"] == pytest.approx(line["train/plain_loss"], rel=1e-6)


def test_an_objective_of_ones_own_trains_with_its_setting(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One Python file and one YAML outside the package; at exponent 0 it is uniform SFT, at 1 it is DFT."""
    monkeypatch.chdir(tmp_path)
    Path("power.py").write_text(POWER)
    Path("power.yaml").write_text("name: power\nfile: power.py\n")
    inits = {
        "power0": ["init=./power.yaml", "init.exponent=0"],
        "power1": ["init=./power.yaml", "init.exponent=1"],
        **{name: [f"init={name}"] for name in ("sft", "dft")},
    }
    logged = {}
    for name, overrides in inits.items():
        (tmp_path / name).mkdir()
        recipe = load("tiny", overrides)
        changes = {"+init": verl_settings(recipe, Run(recipe))["+init"], "trainer": {"total_training_steps": 2}}
        torchrun(2, *SFT, *settings(start, tmp_path / name, 2, **changes), log=tmp_path / name / "log")
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        logged[name] = [(step["train/loss"], step["train/plain_loss"]) for step in map(json.loads, lines)]
    assert [len(steps) for steps in logged.values()] == [2] * 4
    assert logged["power0"] == logged["sft"]
    assert logged["power1"] == logged["dft"]
    assert logged["power0"] != logged["power1"]
