import json

import pytest

from vcore_verl.config.recipe import load
from vcore_verl.preflight.estimate.peak import peak_memory


@pytest.mark.parametrize(
    ("stage", "key", "planned"),
    [("sft", "perf/max_memory_allocated_gb", 11.0), ("rl", "actor/perf/max_memory_allocated_gb", 18.7)],
)
def test_the_largest_measured_peak_stands_beside_the_planned_one(tmp_path, stage, key, planned):
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("".join(json.dumps({"step": step, key: gib}) + "\n" for step, gib in ((1, 31.21), (2, 30.0))))
    assert peak_memory(load("qwen3_4b", []), stage, metrics) == [f"peak memory 31.2 GiB, planned {planned}"]
    assert peak_memory(load("qwen3_4b", ["hardware.device=cpu"]), stage, metrics) == []
    assert peak_memory(load("qwen3_4b", ["model.path=somebody/something"]), stage, metrics) == []


def test_steps_without_a_measurement_say_nothing(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "train/loss": 0.5}\n')
    assert peak_memory(load("qwen3_4b", []), "sft", tmp_path / "metrics.jsonl") == []
