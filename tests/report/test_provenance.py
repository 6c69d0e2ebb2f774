import json

import pytest

from vcore_verl.report import write_report


def record(home, stage, seconds, gpus):
    """What a pipeline leaves in the home of a training."""
    depends = {"hardware.gpus": gpus, "hardware.nodes": 1, "hardware.device": "cpu", "package verl": "0.9.1"}
    stages = {stage: {"seconds": seconds, "git_commit": "abc", "depends": depends}}
    (home / "manifest.json").write_text(json.dumps({"stages": stages}))


def test_an_arm_says_what_it_took(base, arm):
    for seed in (0, 1):
        folder = arm("vcore", "grpo", seed=seed)
        record(folder.parent, "sft", 60 + 60 * seed, gpus=2)
        record(folder, "rl", 300 + 60 * seed, gpus=2)
    write_report(base)
    found = json.loads((base / "report" / "comparison.json").read_text())["arms"][0]["provenance"]
    assert (found["sft_seconds"], found["rl_seconds"], found["ranks"], found["device"]) == (90, 330, 2, "cpu")
    assert found["device_hours"] == pytest.approx(420 * 2 / 3600)
    text = (base / "report" / "report.md").read_text()
    assert "| vcore-grpo | 1.5 | 5.5 | 2 (cpu) | 0.23 |" in text
    assert "All runs together, SFT that several start from counted once: 0.47 device hours." in text
    assert "- trained with: verl 0.9.1\n" in text
    assert "- commits: abc" in text


def test_sft_that_several_runs_start_from_counts_once_on_its_own_hardware(base, arm):
    for rl in ("grpo", "dapo"):
        folder = arm("vcore", rl)
        record(folder.parent, "sft", 3600, gpus=2)
        record(folder, "rl", 3600, gpus=1)
    write_report(base)
    text = (base / "report" / "report.md").read_text()
    assert "| vcore-dapo | 60.0 | 60.0 | 1 (cpu) | 3.00 |" in text
    assert "counted once: 4.00 device hours." in text


def test_a_run_from_elsewhere_has_no_cost(base, arm):
    arm("vcore", "grpo")
    write_report(base)
    assert "cost" not in (base / "report" / "report.md").read_text()
