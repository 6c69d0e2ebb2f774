"""The whole check, in its small form on the CPU, in processes of their own: it takes them over."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from vcore_verl.sft.gpu_check.command import _found
from vcore_verl.sft.gpu_check.page import steps_table
from vcore_verl.sft.gpu_check.record import Check, Step

ROOT = Path(__file__).parents[3]
COMMAND = "import sys; from vcore_verl.cli import main; sys.exit(main(['check-gpu']))"
# A kernel whose scores are a tenth too small.
WRONG = """
from vcore_verl.attention import kernels
forward = kernels.forward
kernels.forward = lambda *arguments: forward(*arguments[:-2], 0.9 * arguments[-2], arguments[-1])
"""


def checked(tmp_path: Path, before: str = "") -> tuple[subprocess.CompletedProcess, dict]:
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", before + COMMAND]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    file = tmp_path / "vcore-verl" / "gpu_check" / "cpu.json"
    return ended, json.loads(file.read_text())


@pytest.mark.slow
def test_right_attention_passes_and_leaves_a_table_and_a_file(tmp_path: Path):
    ended, file = checked(tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    for text in ("check of cpu", "utilities, jvp: Spearman correlation", "256 tokens: ms", "probe: jvp, |B'| = |B|/8"):
        assert text in ended.stdout
    assert "failed" not in ended.stdout
    assert file["card"] == "cpu"
    assert {check["part"] for check in file["checks"]} == {"attention", "utilities"}
    assert all(check["passed"] for check in file["checks"])
    probes = {f"{name}, |B'| = |B|{part}" for name in ("jvp", "central", "forward") for part in ("", "/8")}
    assert {step["probe"] for step in file["steps"]} == {None, *probes}
    assert all(step["seconds"] > 0 and step["tokens"] == 256 for step in file["steps"])


@pytest.mark.slow
def test_wrong_attention_fails(tmp_path: Path):
    ended, file = checked(tmp_path, WRONG)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "failed: attention: heads of 64: output" in ended.stdout
    assert not all(check["passed"] for check in file["checks"])
    assert len(file["steps"]) == 7  # the other parts ran all the same


def test_an_error_is_a_failed_check_and_keeps_what_was_found():
    def items():
        yield "found"
        raise RuntimeError("no kernel for this card\nand more")

    failures: list[Check] = []
    assert _found("cost", items(), failures, Console(file=io.StringIO())) == ["found"]
    (failure,) = failures
    assert (failure.part, failure.name, failure.passed) == ("cost", "RuntimeError: no kernel for this card", False)


def test_a_step_without_room_is_said_in_the_table():
    steps = [Step(4096, None, 0.2, 2**30), Step(4096, "jvp", 0.5, 2**31), Step(8192, None, 0.4, 2**31)]
    steps.append(Step(8192, "jvp", None, None))
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(steps_table(steps))
    heading, sft, probe = console.export_text().splitlines()
    assert heading.split() == [
        "step",
        "4,096",
        "tokens:",
        "ms",
        "GiB",
        "x",
        "SFT",
        "8,192",
        "tokens:",
        "ms",
        "GiB",
        "x",
        "SFT",
    ]
    assert sft.split() == ["SFT", "200", "1.0", "1.00", "400", "2.0", "1.00"]
    assert probe.split() == ["probe:", "jvp", "500", "2.0", "2.50", "no", "room", "-", "-"]
