import json

import pytest

from vcore_verl.config.recipe import load, save
from vcore_verl.report import write_report


def test_an_arm_says_what_it_took(base, arm):
    for seed in (0, 1):
        folder = arm("vcore", "grpo", seed=seed)
        stages = {
            name: {"seconds": seconds + 60 * seed, "git_commit": "abc"} for name, seconds in (("sft", 60), ("rl", 300))
        }
        stages["rl"]["depends"] = {"package verl": "0.9.1", "rl.steps": 4}
        (folder / "manifest.json").write_text(json.dumps({"stages": stages}))
        save(load("tiny", ["hardware.device=cpu"]), folder / "recipe.yaml")
    write_report(base)
    found = json.loads((base / "report" / "comparison.json").read_text())["arms"][0]["provenance"]
    assert (found["sft_seconds"], found["rl_seconds"], found["ranks"], found["device"]) == (90, 330, 2, "cpu")
    assert found["device_hours"] == pytest.approx(420 * 2 / 3600)
    text = (base / "report" / "report.md").read_text()
    assert "| vcore-grpo | 1.5 | 5.5 | 2 (cpu) | 0.23 |" in text
    assert "All runs together: 0.47 device hours." in text
    assert "- trained with: verl 0.9.1\n" in text
    assert "- commits: abc" in text


def test_sft_that_a_run_took_over_counts_once_in_all_runs_together(base, arm):
    for rl, record in (("grpo", {}), ("dapo", {"taken_from": "runs/test/vcore-grpo/seed0"})):
        folder = arm("vcore", rl)
        stages = {"sft": {"seconds": 3600, "git_commit": "abc"} | record, "rl": {"seconds": 3600, "git_commit": "abc"}}
        (folder / "manifest.json").write_text(json.dumps({"stages": stages}))
        save(load("tiny", ["hardware.device=cpu", "gpus=1"]), folder / "recipe.yaml")
    write_report(base)
    text = (base / "report" / "report.md").read_text()
    assert "| vcore-dapo | 60.0 | 60.0 | 1 (cpu) | 2.00 |" in text
    assert "All runs together: 3.00 device hours, SFT that runs share counted once." in text


def test_a_run_from_elsewhere_has_no_cost(base, arm):
    arm("vcore", "grpo")
    write_report(base)
    assert "What it took" not in (base / "report" / "report.md").read_text()
