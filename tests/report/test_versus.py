import io
import re

import pytest
from rich.console import Console

from vcore_verl.report.scores import ReportError
from vcore_verl.report.versus import versus


def test_evaluations_from_anywhere_are_compared_by_path(tmp_path, evaluation):
    folders = [tmp_path / "mine", tmp_path / "theirs"]
    for folder, accuracy in zip(folders, (0.3, 0.8), strict=True):
        evaluation(folder, accuracy)
    console = Console(file=io.StringIO(), width=200)
    console.print(versus(folders))
    lines = [line for line in console.file.getvalue().splitlines() if "theirs" in line]
    assert len(lines) == 2 and all("< 0.001" in line for line in lines)
    assert "They describe these checkpoints, not the methods that trained them." in console.file.getvalue()


def test_what_cannot_be_compared_is_refused_by_name(tmp_path, evaluation):
    evaluation(tmp_path / "mine", 0.3)
    evaluation(tmp_path / "theirs", 0.3, question="{i} and {i}?")
    with pytest.raises(ReportError, match=r"theirs cannot be compared with .*mine: .*other prompts"):
        versus([tmp_path / "mine", tmp_path / "theirs"])


def test_a_run_stands_for_its_last_evaluation_and_long_paths_fit_a_narrow_terminal(base, arm):
    places = [base / "base", arm("sft", "none"), arm("vcore", "grpo")]
    console = Console(file=io.StringIO(), width=80)
    console.print(versus(places))
    text = console.file.getvalue()
    assert [line.split()[0] for line in text.splitlines() if re.search(r"\d\.\d", line)] == 2 * [
        "base",
        "sft/seed0",
        "vcore/seed0/grpo",
    ]
    assert max(map(len, text.splitlines())) <= 80


def test_a_place_without_an_evaluation_is_named(tmp_path):
    with pytest.raises(ReportError, match=r"nowhere/results\.json is missing"):
        versus([tmp_path / "nowhere"])
