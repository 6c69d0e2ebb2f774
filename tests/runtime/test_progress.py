import io
from pathlib import Path

from rich.console import Console

from vcore_verl.runtime.process import Command
from vcore_verl.runtime.progress import StageProgress, duration, shown

COMMAND = Command(argv=[], env={}, progress=Path("metrics.jsonl"), total=100, unit="step")


def text_of(*lines: dict) -> str:
    progress = StageProgress(COMMAND)
    for line in lines:
        progress.add(line)
    return progress.text()


def test_names_the_metric_that_matters():
    assert text_of({"step": 3, "loss": 1.23456}) == "step 3/100  loss 1.23"
    assert text_of({"step": 3, "total": 20, "critic/score/mean": 0.5}) == "step 3/20  reward 0.5"
    assert text_of({"step": 3, "lr": 1e-3}) == "step 3/100"


def test_time_left_counts_the_steps_of_this_attempt_alone():
    assert "left" not in text_of({"step": 50})
    assert text_of({"step": 50}, {"step": 51}).endswith("0:00 left")


def test_without_a_terminal_there_are_plain_lines_not_one_a_step():
    output = io.StringIO()
    with shown(Console(file=output), "[1/3] sft", COMMAND) as update:
        for step in range(1, 50):
            update({"step": step, "total": 100})
    assert output.getvalue() == "[1/3] sft: step 1/100\n"


def test_a_terminal_shows_a_bar_that_vanishes():
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=100)
    with shown(console, "[1/3] sft", COMMAND) as update:
        update({"step": 12, "total": 100, "loss": 0.5})
    assert "[1/3] sft" in output.getvalue()
    assert "step 12/100  loss 0.5" in output.getvalue()


def test_durations_read_like_a_clock():
    assert [duration(seconds) for seconds in (7, 125, 10800)] == ["0:07", "2:05", "3:00:00"]
