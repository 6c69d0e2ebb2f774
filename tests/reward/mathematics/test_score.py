import subprocess
import sys
from pathlib import Path

import pytest

from reward import compute_score

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("response", "ground_truth", "status"),
    [
        (r"3 + 4 = 7, so \boxed{7}", "7", "correct"),
        (r"\boxed{07}", 7, "correct"),
        (r"\boxed{-7}", "-7", "correct"),
        (r"\boxed{8}", "7", "wrong"),
        (r"\boxed{3+4}", "7", "parse_error"),
        (r"\boxed{7 7}", "7", "parse_error"),
        (r"the answer is 7", "7", "no_answer"),
        (r"\boxed{7} or \boxed{7", "7", "no_answer"),
    ],
)
def test_built_in_arithmetic(response, ground_truth, status):
    result = compute_score("vcore/arithmetic", response, ground_truth)
    assert result["status"] == status
    assert result["score"] == result["acc"] == float(status == "correct")


def test_arithmetic_answers_need_neither_sympy_nor_a_worker_process():
    program = r"""
import sys, threading
from reward import compute_score
for answer in ["7", "3+4", "seven", "x^2", "\\sqrt{49}", "7"]:
    compute_score("vcore/arithmetic", "\\boxed{%s}" % answer, "7")
assert "sympy" not in sys.modules and "subprocess" in sys.modules
assert threading.active_count() == 1
import os
assert not os.path.exists("/proc") or open(f"/proc/self/task/{os.getpid()}/children").read() == ""
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
