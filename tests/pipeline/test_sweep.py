"""Comparisons with real child processes: this file is also the program that an arm runs in place of the real stages."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from vcore_verl.config.composition import ROOT
from vcore_verl.config.errors import InputError
from vcore_verl.config.recipe import Recipe, RecipeError
from vcore_verl.pipeline.arms import arms
from vcore_verl.pipeline.pipeline import Pipeline
from vcore_verl.pipeline.stage import Stage
from vcore_verl.pipeline.sweep import print_plan, run_all, total_seconds
from vcore_verl.runs.layout import ArtefactError, Run
from vcore_verl.runtime.process import Command

# Leaves argv[1] behind; fails where a file `fail` names the arm, and takes a minute where a file `slow` does.
PROGRAM = """
import pathlib, sys, time
result = pathlib.Path(sys.argv[1])
for name in ("fail", "slow"):
    if pathlib.Path(name).exists() and pathlib.Path(name).read_text() in str(result):
        if name == "fail":
            raise RuntimeError("out of luck")
        time.sleep(60)
result.parent.mkdir(parents=True, exist_ok=True)
result.write_text("done")
"""


def small_stages(recipe: Recipe) -> list[Stage]:
    run = Run(recipe)
    return [stage("base", run.root, run.base), stage("sft", run.sft_home, run.sft, after=("base",))]


def stage(name: str, home: Path, folder: Path, **more) -> Stage:
    result = folder / "result"

    def verify() -> None:
        if not result.is_file():
            raise ArtefactError(f"{result} is missing")

    command = Command([sys.executable, "-c", PROGRAM, str(result)], {}, folder / "metrics.jsonl", 1, "step")
    return Stage(name, name, home, folder, (result,), lambda: command, verify, **more)


def planned(*words: str, console: Console | None = None):
    return arms("tiny", ["hardware.device=cpu", *words], console or Console(file=io.StringIO()))


def small(*words: str):
    """The arms that `words` ask for, over `small_stages`."""
    return [
        replace(
            arm,
            pipeline=Pipeline(arm.recipe, arm.pipeline.console, small_stages(arm.recipe)),
            argv=[sys.executable, __file__, *arm.argv[5:-1]],
        )
        for arm in planned(*words)
    ]


def run(*words: str) -> tuple[list[str], list[str], list[str]]:
    """Run the comparison: what was said by line, names of the arms that failed, and why."""
    output = io.StringIO()
    failures = run_all(small(*words), Console(file=output, width=300))
    return output.getvalue().splitlines(), [item.arm.name for item in failures], [item.reason for item in failures]


def names(*words: str) -> list[str]:
    return [arm.name for arm in planned(*words)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_by_default_all_initialisers_run_under_grpo_with_one_seed():
    assert names() == [f"{init}-grpo seed 0" for init in ("dft", "iw_sft", "random", "sft", "vcore", "none")]


def test_a_whole_comparison_of_one_seed_comes_before_the_next_seed():
    assert names("inits=sft,none", "rls=grpo,none", "seeds=1,0") == [
        "sft-grpo seed 1",
        "none-grpo seed 1",
        "sft-none seed 1",
        "sft-grpo seed 0",
        "none-grpo seed 0",
        "sft-none seed 0",
    ]


def test_a_setting_reaches_the_arms_that_have_its_stage():
    sft, none = planned("inits=sft,none", "sft.steps=7", "rl.steps=8")
    assert (sft.recipe.sft.steps, sft.recipe.rl.steps, none.recipe.rl.steps) == (7, 8, 8)
    assert "sft.steps=7" in sft.argv
    assert "sft.steps=7" not in none.argv


def test_every_value_of_a_key_is_an_arm_of_its_own():
    rates, temperatures = "sft.learning_rate=1e-3,2e-3", "rl.temperature=0.8,1"
    words = ("inits=vcore,none", rates, temperatures, "evaluation.datasets=[in_domain]")
    assert names(*words) == [
        "vcore+learning_rate-1e-3-grpo+temperature-0.8 seed 0",
        "vcore+learning_rate-1e-3-grpo+temperature-1 seed 0",
        "vcore+learning_rate-2e-3-grpo+temperature-0.8 seed 0",
        "vcore+learning_rate-2e-3-grpo+temperature-1 seed 0",
        "none-grpo+temperature-0.8 seed 0",
        "none-grpo+temperature-1 seed 0",
    ]
    arm = planned(*words)[2]
    assert (arm.recipe.sft.learning_rate, arm.recipe.rl.temperature) == (2e-3, 0.8)
    assert arm.pipeline.run_dir.dir == Path("runs/tiny/vcore+learning_rate-2e-3/seed0/grpo+temperature-0.8")
    assert arm.recipe.evaluation.datasets == ["in_domain"]


def test_values_of_a_key_go_into_the_name_that_was_given():
    assert names("inits=sft", "variant=new", "sft.steps=5,6") == [
        "sft+new+steps-5-grpo seed 0",
        "sft+new+steps-6-grpo seed 0",
    ]
    assert names("inits=sft", "rl.variant=new", "rl.steps=5,6") == [
        "sft-grpo+new+steps-5 seed 0",
        "sft-grpo+new+steps-6 seed 0",
    ]


def test_arms_that_differ_in_rl_alone_share_their_sft():
    slow, fast = planned("inits=vcore", "rl.learning_rate=1e-6,3e-6")
    assert slow.pipeline.run_dir.sft == fast.pipeline.run_dir.sft == Path("runs/tiny/vcore/seed0/sft")
    assert slow.pipeline.run_dir.rl != fast.pipeline.run_dir.rl


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["inits=vcore,dtf"], "init=dtf is not known; choose one of"),
        (["rls=ppo"], "rl=ppo is not known; choose one of"),
        (["seeds=0,one"], "seeds=0,one: 'one' is not a number"),
        (["inits="], "inits= has an empty entry"),
        (["seeds=0", "seeds=1"], "seeds is given 2 times; write seeds=0,1"),
        (["init=dft"], "a comparison takes a list: inits=dft"),
        (["inits=none", "rls=none"], "leave nothing to train"),
        (["inits=none", "sft.steps=7"], "sft.steps would be ignored"),
        (["sft.steps=7,"], "'sft.steps=': sft.steps is of the wrong type"),
        (["data.num_sft=8,16"], "all arms have the same data.num_sft; only keys of init, sft and rl take several"),
        (["sft.stepz=7"], "did you mean sft.steps?"),
        (["rl.verl.trainer.nnodez=2"], "did you mean rl.verl.trainer.nnodes?"),
    ],
)
def test_a_mistake_in_any_arm_is_one_line_before_the_first_starts(words, message, here):
    with pytest.raises(InputError) as raised:
        planned(*words)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert list(here.iterdir()) == []


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(RecipeError, match=r"unknown recipe 'tinny'; known recipes: .*tiny"):
        arms("tinny", [], Console())


@pytest.mark.slow
def test_finished_arms_are_skipped_with_a_line_each(here):
    words = ("inits=sft,dft",)
    lines, failed, _ = run(*words)
    assert failed == []
    assert lines[0].startswith("arm 1/2 sft-grpo seed 0: running; log: runs/tiny/sft/seed0/grpo/logs/arm.log")
    assert lines[1].startswith("arm 1/2 sft-grpo seed 0: done in ")
    assert "left for 1 of the arms" in lines[2]
    lines, _, _ = run(*words)
    assert [line.rpartition(" ")[0] for line in lines] == [
        "arm 1/2 sft-grpo seed 0: already done in",
        "arm 2/2 dft-grpo seed 0: already done in",
    ]


@pytest.mark.slow
def test_the_plan_has_the_sft_of_several_arms_once(here):
    run("inits=sft")
    output = io.StringIO()
    print_plan(small("inits=sft,dft", "rls=grpo,dapo"), Console(file=output, width=200))
    assert dict(re.split("  +", line.strip()) for line in output.getvalue().splitlines()) == {
        "arm": "to run",
        "shared by all": "nothing: already done",
        "sft-grpo seed 0": "nothing: already done",
        "dft-grpo seed 0": "sft",
        "sft-dapo seed 0": "nothing: already done",
        "dft-dapo seed 0": "nothing: in an arm above",
    }


@pytest.mark.slow
def test_an_arm_that_fails_does_not_keep_the_others_from_running(here):
    Path("fail").write_text("/dft/")
    words = ("inits=dft,sft", "seeds=0,1")
    lines, failed, reasons = run(*words)
    assert failed == ["dft-grpo seed 0", "dft-grpo seed 1"]
    assert reasons[0].splitlines() == [
        "sft failed: exit code 1",
        "RuntimeError: out of luck",
        "at <string>:7",
        "log: runs/tiny/dft/seed0/logs/attempt_1/sft.log",
    ]
    assert any(line.endswith("(sft failed: exit code 1)") for line in lines)
    assert all(Path(f"runs/tiny/sft/seed{seed}/sft/result").exists() for seed in (0, 1))
    assert "no report yet; log: runs/tiny/report.log" in lines
    Path("fail").unlink()
    lines, failed, _ = run(*words)
    assert failed == []
    assert sum("already done" in line for line in lines) == 2


def test_a_failure_that_says_nothing_is_told_by_how_it_ended(here):
    (arm,) = small("inits=sft")
    killed = replace(arm, argv=[sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    (failure,) = run_all([killed], Console(file=io.StringIO()))
    assert failure.reason == ("killed by SIGKILL; usually out of memory\nlog: runs/tiny/sft/seed0/grpo/logs/arm.log")


@pytest.mark.slow
def test_hours_count_every_arm_and_once_what_they_share(here):
    run("inits=sft,dft")
    planned_arms = small("inits=sft,dft")
    shared = planned_arms[0].pipeline.seconds(planned_arms[0].pipeline.stages[0])
    assert total_seconds(planned_arms) == pytest.approx(shared + sum(arm.seconds() for arm in planned_arms))
    assert shared > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_comparison_names_the_arms_left_and_leaves_no_process(number, here):
    Path("slow").write_text("dft/seed0/sft")
    words = ("inits=sft,dft,random",)
    launcher = subprocess.Popen(
        [sys.executable, __file__, "--all", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    slow = Path("runs/tiny/dft/seed0/logs/latest/sft.log")
    deadline = time.monotonic() + 300
    while not slow.exists():
        assert time.monotonic() < deadline and launcher.poll() is None
        time.sleep(0.1)
    children = psutil.Process(launcher.pid).children(recursive=True)
    assert children
    launcher.send_signal(number)
    said, _ = launcher.communicate(timeout=300)
    assert said.splitlines()[-1] == "arms left: dft-grpo seed 0, random-grpo seed 0"
    assert psutil.wait_procs(children, timeout=30)[1] == []
    Path("slow").unlink()
    lines, failed, _ = run(*words)
    assert failed == []
    assert "already done" in lines[0]


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(width=200)
    if sys.argv[1] == "--all":
        run_all(small(*sys.argv[2:]), console)
    else:
        from vcore_verl.config.recipe import load
        from vcore_verl.runtime.process import StageFailed

        recipe = load("tiny", sys.argv[1:])
        try:
            Pipeline(recipe, console, small_stages(recipe)).execute()
        except StageFailed as error:
            sys.exit(f"error: {error}")
