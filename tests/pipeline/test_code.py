"""On a copy of the project, whose files are edited; real processes run its pipeline with a small SFT program."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vcore_verl.config.composition import ROOT
from vcore_verl.pipeline.code import code_of

# The real stages up to SFT, each with its own keys and code, and a program that leaves two files.
SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from vcore_verl import cli
from vcore_verl.pipeline import pipeline, stages
from vcore_verl.runtime.process import Command

PROGRAM = "import sys, pathlib; [pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True) or " \
    "pathlib.Path(name).write_text('{}') for name in sys.argv[1:]]"

def small(recipe, run, digests=None):
    for stage in real(recipe, run, digests):
        if stage.name in ("base", "data", "sft"):
            result = stage.folder / "result"
            command = Command([sys.executable, "-c", PROGRAM, str(result)], {}, stage.folder / "progress", 1, "step")
            yield replace(stage, artefacts=(result,), command=lambda c=command: c, verify=lambda: None, inputs=())

real = stages.stages
pipeline.stages = small
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A copy of the project in which dft has run."""
    here = tmp_path_factory.mktemp("project")
    for name in ("vcore_verl", "reward", "recipes"):
        shutil.copytree(ROOT / name, here / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
    (here / "script.py").write_text(SCRIPT)
    assert called(here).returncode == 0
    return here


@pytest.fixture
def project(trained, tmp_path):
    """A copy of that copy."""
    shutil.copytree(trained, tmp_path / "project", symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


def called(project: Path, *flags: str, verb: str = "run") -> subprocess.CompletedProcess:
    words = [verb, "tiny", "hardware.device=cpu", *flags]
    words += ["init=dft", "rl=none", "--no-report"] if verb == "run" else ["inits=dft,sft", "rls=none"]
    return subprocess.run(
        [sys.executable, "script.py", *words], cwd=project, capture_output=True, text=True, timeout=300
    )


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def edit_dft(project: Path) -> None:
    edit(project / "vcore_verl/objectives/dft.py", "torch.exp(-tokens.loss_T)", "torch.exp(-2 * tokens.loss_T)")


def record(project: Path) -> dict:
    return json.loads((project / "runs/tiny/dft/seed0/manifest.json").read_text())["stages"]["sft"]


@pytest.mark.slow
def test_an_edited_objective_is_asked_about_and_nothing_starts(project):
    edit_dft(project)
    before = record(project)
    for verb in ("run", "sweep"):
        ended = called(project, verb=verb)
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert ended.stderr.splitlines() == [
            "error: code has changed since these results were made:",
            "  sft (runs/tiny/dft/seed0/sft): vcore_verl/objectives/dft.py changed",
            "add --rerun to rerun these stages, or --keep to keep their results, recorded as made by other code",
        ]
    shown = called(project, "--dry-run")
    assert shown.returncode == 0
    assert "  sft (runs/tiny/dft/seed0/sft): vcore_verl/objectives/dft.py changed\n" in shown.stdout
    assert record(project) == before


@pytest.mark.slow
def test_kept_results_are_not_asked_about_again_until_the_code_changes_again(project):
    edit_dft(project)
    made_by = record(project)["code"]
    assert "kept: vcore_verl/objectives/dft.py changed" in called(project, "--keep").stdout
    assert record(project)["made_by"] == made_by != record(project)["code"]
    assert "sft: skipped: already done by other code in" in called(project).stdout
    edit(project / "vcore_verl/objectives/dft.py", "-2 *", "-3 *")
    assert called(project).returncode == 2
    called(project, "--keep")
    assert record(project)["made_by"] == made_by
    edit(project / "vcore_verl/objectives/dft.py", "-3 * tokens", "-tokens")
    called(project, "--keep")
    assert "made_by" not in record(project)


@pytest.mark.slow
def test_rerun_runs_the_stage_again_and_keeps_the_former_result_aside(project):
    edit_dft(project)
    ended = called(project, "--rerun")
    assert ended.stdout.count(": done in ") == 1
    assert "sft: supervised fine-tuning with dft (vcore_verl/objectives/dft.py changed)" in ended.stdout
    assert (project / "runs/tiny/dft/seed0/stale/sft-1/result").is_file()
    assert "made_by" not in record(project)
    assert called(project).stdout.count("skipped: already done in") == 3


@pytest.mark.slow
def test_words_about_the_code_and_other_objectives_are_not_asked_about(project):
    edit(project / "vcore_verl/objectives/dft.py", '"""w_t = p(y_t)', '"""The weight is p(y_t)')
    edit(project / "vcore_verl/objectives/dft.py", "@register", "# a comment\n@register")
    edit(project / "vcore_verl/objectives/vcore.py", "_BISECTIONS = 60", "_BISECTIONS = 61")
    edit(project / "vcore_verl/objectives/sft.py", "ones_like", "zeros_like")
    assert called(project).stdout.count("skipped: already done in") == 3
    edit(project / "vcore_verl/objectives/packed.py", "return", "return 0 or")
    assert "vcore_verl/objectives/packed.py changed" in called(project).stderr


@pytest.mark.slow
def test_a_changed_key_reruns_whatever_the_code_does(project):
    edit_dft(project)
    assert called(project, "sft.steps=41").stdout.count(": done in ") == 1


def test_code_is_followed_along_imports_and_named_modules():
    sft = code_of("vcore_verl.sft.command", objective="vcore").keys()
    assert {f"vcore_verl/{name}.py" for name in ("sft/main", "sft/dataset", "sft/loss", "sft/probe/probe")} <= sft
    assert {"vcore_verl/objectives/vcore.py", "vcore_verl/objectives/registry.py", "vcore_verl/cpu/engine.py"} <= sft
    assert not any(name.startswith(("vcore_verl/rl", "vcore_verl/report", "vcore_verl/runs")) for name in sft)
    # The answer's place, and nothing of the graders.
    places = ["reward/code/blocks.py", "reward/mathematics/extraction.py", "reward/spans.py"]
    assert [name for name in sft if name.startswith("reward")] == places
    assert "vcore_verl/rl/trainer.py" in code_of("vcore_verl.rl.command")
    evaluation = code_of("vcore_verl.evaluation.command")
    assert {
        "vcore_verl/evaluation/worker.py",
        "vcore_verl/evaluation/__main__.py",
        "reward/score.py",
    } <= evaluation.keys()
