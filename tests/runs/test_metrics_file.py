import json
import math

from vcore_verl.runs.metrics_file import MetricsFile, last_step, read


def test_each_step_is_one_flat_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    MetricsFile(path, total=10).log({"actor/loss": 0.5, "note": "text", "bad": math.nan}, step=1)
    assert json.loads(path.read_text()) == {"step": 1, "total": 10, "actor/loss": 0.5}


def test_steps_after_the_last_checkpoint_are_replaced(tmp_path):
    path = tmp_path / "metrics.jsonl"
    first = MetricsFile(path, total=4)
    for step in (1, 2, 3):
        first.log({"loss": 1.0}, step)
    second = MetricsFile(path, total=4, resumed_from=2)
    second.log({"loss": 2.0}, 3)
    assert [(line["step"], line["loss"]) for line in read(path)] == [(1, 1.0), (2, 1.0), (3, 2.0)]


def test_a_half_written_last_line_is_not_a_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "total": 3}\n{"step": 2, "to')
    assert last_step(path) == 1


def test_no_file_means_no_steps(tmp_path):
    assert last_step(tmp_path / "metrics.jsonl") == 0
