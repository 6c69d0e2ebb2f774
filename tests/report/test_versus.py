import io

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


def test_what_cannot_be_compared_is_refused_by_name(tmp_path, evaluation):
    evaluation(tmp_path / "mine", 0.3)
    evaluation(tmp_path / "theirs", 0.3, question="{i} and {i}?")
    with pytest.raises(ReportError, match=r"theirs cannot be compared with .*mine: .*other prompts"):
        versus([tmp_path / "mine", tmp_path / "theirs"])
