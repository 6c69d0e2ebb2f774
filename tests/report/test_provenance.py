import json

import pytest

from vcore_verl.recipe import load, save
from vcore_verl.report import write_report


def test_an_arm_says_what_it_took_and_how_to_make_it_again(base, arm):
    for seed in (0, 1):
        folder = arm("vcore", "grpo", seed=seed)
        stages = {
            name: {"seconds": seconds + 60 * seed, "git_commit": "abc"} for name, seconds in (("sft", 60), ("rl", 300))
        }
        (folder / "manifest.json").write_text(json.dumps({"stages": stages}))
        save(load("tiny", ["hardware.device=cpu"]), folder / "recipe.yaml")
    write_report(base)
    found = json.loads((base / "report" / "comparison.json").read_text())["arms"][0]["provenance"]
    assert (found["sft_seconds"], found["rl_seconds"], found["ranks"], found["device"]) == (90, 330, 2, "cpu")
    assert found["device_hours"] == pytest.approx(420 * 2 / 3600)
    assert found["commands"][1] == "bash scripts/sft_then_grpo.sh tiny init=vcore rl=grpo seed=1"
    text = (base / "report" / "report.md").read_text()
    assert "| vcore-grpo | 1.5 | 5.5 | 2 (cpu) | 0.23 |" in text
    assert "- commits: abc" in text


def test_a_run_from_elsewhere_has_no_cost(base, arm):
    arm("vcore", "grpo")
    write_report(base)
    assert "What it took" not in (base / "report" / "report.md").read_text()
