"""The pipeline with real child processes: small programs behind the same `Stage` type that the real stages use."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from vcore_verl.config.composition import ROOT
from vcore_verl.config.recipe import Recipe, load, read
from vcore_verl.pipeline.pipeline import Pipeline
from vcore_verl.pipeline.stage import Stage, dependencies
from vcore_verl.pipeline.stages import stages
from vcore_verl.runs import lock
from vcore_verl.runs.hashing import Digests
from vcore_verl.runs.layout import ArtefactError, Run
from vcore_verl.runtime.process import Command, StageFailed

STEPS = ("hardware.device=cpu", "base.steps=600", "sft.steps=40", "rl.steps=10")

# Writes argv[2] into folder argv[1], adds a line of progress at each call, and fails once where a file `fail` is.
PROGRAM = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
with open(folder / "metrics.jsonl", "a") as progress:
    progress.write(json.dumps({"step": 1, "total": 2, "loss": 0.5}) + "\\n")
if pathlib.Path("fail").exists():
    pathlib.Path("fail").unlink()
    raise RuntimeError("out of luck")
(folder / "result").write_text(sys.argv[2])
"""


def verify(folder: Path) -> None:
    if not (folder / "result").is_file():
        raise ArtefactError(f"{folder / 'result'} is missing")


def stage(name: str, folder: Path, content: object, **more) -> Stage:
    argv = [sys.executable, "-c", PROGRAM, str(folder), str(content)]
    return Stage(
        name=name,
        purpose=name,
        folder=folder,
        artefacts=(folder / "result",),
        command=lambda: Command(argv, {}, folder / "metrics.jsonl", 2, "step"),
        verify=partial(verify, folder),
        **more,
    )


def three_stages(recipe: Recipe) -> list[Stage]:
    """base -> sft -> rl; the base's content is `base.steps` in tens, so that some changes do not change it."""
    run = Run(recipe)
    base, sft = (run.base / "result",), (run.sft / "result",)
    return [
        stage("base", run.base, recipe.base.steps // 10, keys=("base",), home=run.root),
        stage(
            "sft", run.sft, recipe.sft.steps, keys=("sft", "hardware"), inputs=base, after=("base",), home=run.sft_home
        ),
        stage("rl", run.rl, recipe.rl.steps, keys=("rl",), inputs=sft, after=("sft",), home=run.rl_home),
    ]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pipeline(*overrides: str, build=three_stages) -> tuple[Pipeline, io.StringIO]:
    recipe = load("tiny", [*STEPS, *overrides])
    output = io.StringIO()
    return Pipeline(recipe, Console(file=output, width=200), build(recipe)), output


def run(*overrides: str, fresh: bool = False, build=three_stages) -> list[str]:
    """Execute; what was said, one line per event."""
    instance, output = pipeline(*overrides, build=build)
    instance.execute(fresh)
    return [line for line in output.getvalue().splitlines() if " step 1/2" not in line]


def ran(lines: list[str]) -> list[str]:
    """Names of the stages that ran."""
    return [line.split("] ")[1].split(":")[0] for line in lines if ": done in " in line]


def actions(*overrides: str, build=three_stages) -> list[str]:
    return [step.action for step in pipeline(*overrides, build=build)[0].plan()]


def test_the_second_call_skips_every_stage_with_a_line_each(here):
    assert ran(run()) == ["base", "sft", "rl"]
    lines = run()
    assert [line.split(": already done in")[0] for line in lines] == [
        "[1/3] base: skipped",
        "[2/3] sft: skipped",
        "[3/3] rl: skipped",
    ]


def test_a_changed_key_reruns_the_stages_it_affects_and_says_why(here):
    run()
    lines = run("sft.steps=41")
    assert ran(lines) == ["sft", "rl"]
    assert "[2/3] sft: sft (sft.steps was 40, is 41)" in lines
    assert "[3/3] rl: rl (sft/result changed)" in lines
    assert ran(run("sft.steps=41", "rl.steps=11")) == ["rl"]


def test_keys_that_change_no_result_rerun_nothing(here):
    run()
    assert ran(run("sft.save_every=7", "hardware.stall_minutes=3")) == []
    assert ran(run("sft.verl.trainer.logger=[wandb]", "rl.verl.trainer.max_actor_ckpt_to_keep=1")) == []
    assert ran(run("sft.verl.trainer.resume_mode=disable")) == ["sft"]


def test_other_gpus_leave_what_is_finished_and_start_over_what_is_not(here):
    run()
    assert ran(run("gpus=4", "nodes=2")) == []
    record = json.loads(Path("runs/tiny/vcore/seed0/manifest.json").read_text())["stages"]["sft"]
    assert (record["depends"]["hardware.gpus"], record["depends"]["hardware.nodes"]) == (2, 1)
    Path("runs/tiny/vcore/seed0/sft/result").unlink()
    Path("fail").touch()
    with pytest.raises(StageFailed):
        run()
    assert "[2/3] sft: sft (hardware.gpus was 2, is 4)" in run("gpus=4")


def test_a_stage_that_comes_out_the_same_leaves_those_after_it(here):
    run("base.steps=600")
    assert ran(run("base.steps=601")) == ["base"]


def test_a_former_result_is_kept_aside(here):
    run()
    lines = run("sft.steps=41")
    assert "[2/3] sft: its previous result is kept in runs/tiny/vcore/seed0/stale/sft-1" in lines
    run("sft.steps=42")
    kept = Path("runs/tiny/vcore/seed0/stale")
    assert {path.name: (path / "result").read_text() for path in kept.glob("sft-*")} == {"sft-1": "40", "sft-2": "41"}
    assert Path("runs/tiny/vcore/seed0/sft/result").read_text() == "42"


def test_a_failed_stage_resumes_where_it_was_with_its_files(here):
    Path("fail").touch()
    instance, _ = pipeline()
    with pytest.raises(StageFailed) as failed:
        instance.execute()
    assert str(failed.value).splitlines() == [
        "base failed: exit code 1",
        "RuntimeError: out of luck",
        "at <string>:9",
        "log: runs/tiny/vcore/seed0/grpo/logs/attempt_1/base.log",
    ]
    lines = run()
    assert "[1/3] base: base (continues where it was stopped)" in lines
    assert len(Path("runs/tiny/base/metrics.jsonl").read_text().splitlines()) == 2
    assert Path("runs/tiny/vcore/seed0/grpo/logs/latest").readlink() == Path("attempt_2")


def test_a_failed_stage_starts_over_when_the_recipe_changed_meanwhile(here):
    Path("fail").touch()
    with pytest.raises(StageFailed):
        run()
    lines = run("base.steps=700")
    assert "[1/3] base: base (base.steps was 600, is 700)" in lines
    assert len(Path("runs/tiny/base/metrics.jsonl").read_text().splitlines()) == 1


def test_a_process_that_exits_0_without_its_result_is_a_failure(here):
    recipe = load("tiny", ["hardware.device=cpu"])
    idle = replace(
        three_stages(recipe)[0], command=lambda: Command([sys.executable, "-c", ""], {}, Path("p"), 1, "step")
    )
    with pytest.raises(StageFailed, match="base ended, but runs/tiny/base/result is missing"):
        Pipeline(recipe, Console(file=io.StringIO()), [idle]).execute()


def test_a_result_that_was_lost_or_altered_is_made_again(here):
    run()
    Path("runs/tiny/vcore/seed0/grpo/rl/result").unlink()
    Path("runs/tiny/vcore/seed0/sft/result").write_text("tampered")
    lines = run()
    assert "[2/3] sft: sft (its result was modified: result changed)" in lines
    assert "[3/3] rl: rl (runs/tiny/vcore/seed0/grpo/rl/result is missing)" in lines


def test_fresh_runs_everything_again(here):
    run()
    assert ran(run(fresh=True)) == ["base", "sft", "rl"]
    assert Path("runs/tiny/stale/base-1/result").is_file()


def test_shared_stages_are_not_made_again_for_another_arm_or_seed(here):
    run()
    assert ran(run("init=dft")) == ["sft", "rl"]
    assert ran(run("seed=1")) == ["sft", "rl"]
    homes = ("runs/tiny", "runs/tiny/dft/seed0", "runs/tiny/dft/seed0/grpo")
    assert [list(json.loads(Path(f"{home}/manifest.json").read_text())["stages"]) for home in homes] == [
        ["base"],
        ["sft"],
        ["rl"],
    ]


def test_a_plan_changes_nothing_and_says_what_would_follow(here):
    assert actions() == ["run", "run", "run"]
    assert list(here.iterdir()) == []
    run()
    before = sorted(here.rglob("*"))
    assert actions() == ["skip", "skip", "skip"]
    assert actions("sft.steps=41") == ["skip", "rerun", "rerun"]
    assert actions("rl.steps=11") == ["skip", "skip", "rerun"]
    assert sorted(here.rglob("*")) == before


def test_rl_runs_start_from_one_sft(here):
    run()
    lines = run("rl=dapo")
    assert ran(lines) == ["rl"]
    assert lines[1].startswith("[2/3] sft: skipped: already done in 0:0")
    assert ran(run("rl=dapo", "sft.steps=41")) == ["sft", "rl"]
    assert ran(run("sft.steps=41")) == ["rl"]


@pytest.mark.parametrize("difference", ["init=dft", "seed=1", "variant=again"])
def test_another_sft_is_a_run_of_its_own(difference, here):
    run()
    assert ran(run("rl=dapo", difference)) == ["sft", "rl"]
    assert ran(run("rl=dapo")) == ["rl"]


SLOW_RL = """
import sys
from test_pipeline import pipeline
instance, output = pipeline(*sys.argv[1:])
instance.execute()
print(output.getvalue())
"""


def test_two_rl_runs_use_one_sft_at_the_same_time_and_make_it_once(here):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    runs = [
        subprocess.Popen([sys.executable, "-c", SLOW_RL, rl], env=environment, stdout=subprocess.PIPE, text=True)
        for rl in ("rl=grpo", "rl=dapo")
    ]
    said = [process.communicate(timeout=300)[0].splitlines() for process in runs]
    assert [process.returncode for process in runs] == [0, 0]
    assert sorted(len(ran(lines)) for lines in said) == [1, 3]
    assert len(Path("runs/tiny/vcore/seed0/sft/metrics.jsonl").read_text().splitlines()) == 1


def test_sft_is_read_by_others_while_rl_runs_and_not_changed(here):
    run()
    with lock.shared(Path("runs/tiny/vcore/seed0/.lock"), lambda: None) as reader:
        reader(lock.READ)
        assert ran(run("rl=dapo")) == ["rl"]
        with pytest.raises(lock.Locked), lock.exclusive(Path("runs/tiny/vcore/seed0/.lock")):
            pass


def test_the_manifest_records_what_a_stage_followed_from(here):
    run()
    record = json.loads(Path("runs/tiny/vcore/seed0/manifest.json").read_text())["stages"]["sft"]
    assert record["status"] == "done"
    assert record["depends"]["sft.steps"] == 40
    assert "sft.save_every" not in record["depends"]
    assert len(record["depends"]["base/result"]) == len(record["artefacts"]["result"]) == 64
    assert len(record["fingerprint"]) == 16
    assert record["seconds"] > 0
    assert read(Path("runs/tiny/vcore/seed0/recipe.yaml")) == load("tiny", list(STEPS))


def test_two_pipelines_do_not_write_one_run(here):
    with lock.exclusive(Path("runs/tiny/vcore/seed0/grpo/.lock")):
        instance, _ = pipeline()
        with pytest.raises(lock.Locked, match=r"another pipeline .* is writing runs/tiny/vcore/seed0/grpo"):
            instance.execute()
    assert ran(run()) == ["base", "sft", "rl"]


def names(*overrides: str) -> list[str]:
    recipe = load("tiny", ["hardware.device=cpu", *overrides])
    return [item.name for item in stages(recipe, Run(recipe))]


def test_the_real_stages_are_in_order():
    assert names() == [
        "base",
        "data",
        "test_sets",
        "evaluate_base",
        "sft",
        "export_sft",
        "evaluate_pre_rl",
        "rl",
        "export_rl",
        "evaluate_post_rl",
        "report",
    ]
    assert names("init=none") == [name for name in names() if name not in ("sft", "export_sft", "evaluate_pre_rl")]
    assert names("rl=none") == [name for name in names() if name not in ("rl", "export_rl", "evaluate_post_rl")]


def test_each_real_stage_follows_stages_before_it():
    order = names()
    recipe = load("tiny", ["hardware.device=cpu"])
    for item in stages(recipe, Run(recipe)):
        assert all(order.index(name) < order.index(item.name) for name in item.after)


@pytest.mark.parametrize("recipe_name", ["tiny", "qwen3_4b"])
@pytest.mark.parametrize("rl", ["dapo", "none"])
def test_nothing_before_rl_depends_on_rl(recipe_name, rl, here):
    def followed(*overrides: str) -> dict[str, dict]:
        recipe = load(recipe_name, ["hardware.device=cpu", *overrides])
        place, digests = Run(recipe), Digests(here / "digests.json")
        return {
            item.name: dependencies(item, recipe, place, digests)
            for item in stages(recipe, place)
            if item.home == place.sft_home
        }

    assert list(followed()) == ["sft", "export_sft", "evaluate_pre_rl"]
    assert followed(f"rl={rl}") == followed()


def test_a_training_step_as_slow_as_planned_is_not_taken_for_a_stall(here):
    def execute(device: str) -> None:
        recipe = load("qwen3_4b", ["hardware.stall_minutes=0.005", f"hardware.device={device}"])
        folder = Run(recipe).rl
        argv = [sys.executable, "-c", "import time; time.sleep(3)\n" + PROGRAM, str(folder), "1"]
        command = Command(argv, {}, folder / "metrics.jsonl", 2, "step")
        slow = replace(stage("rl", folder, 1, home=Run(recipe).dir), command=lambda: command)
        Pipeline(recipe, Console(file=io.StringIO()), [slow]).execute()

    with pytest.raises(StageFailed, match=r"no progress for 0.01 minutes before its first step"):
        execute("cpu")
    execute("cuda")


def test_a_tracker_that_cannot_be_reached_is_a_warning(here):
    def tracked(recipe: Recipe) -> list[Stage]:
        broken = Command([sys.executable, "-c", "raise OSError('no network')"], {}, here / "progress", 1, "step")
        return [replace(three_stages(recipe)[0], tracking=lambda: broken)]

    lines = run(build=tracked)
    assert ran(lines) == ["base"]
    assert "base: warning: not logged to the trackers: exit code 1, OSError: no network" in lines[-1]
    assert "skipped: already done" in run(build=tracked)[0]


def test_another_benchmark_touches_the_evaluations_alone(here):
    def followed(*overrides: str) -> dict[str, dict]:
        recipe = load("qwen3_4b", ["hardware.device=cpu", *overrides])
        place, digests = Run(recipe), Digests(here / "digests.json")
        return {item.name: dependencies(item, recipe, place, digests) for item in stages(recipe, place)}

    before, after = followed(), followed("evaluation.datasets=[aime,math500]")
    assert [name for name in before if before[name] != after[name]] == [
        "test_sets",
        "evaluate_base",
        "evaluate_pre_rl",
        "evaluate_post_rl",
    ]
    programs = followed("evaluation.datasets=[aime,livecodebench]")
    assert all(programs[name] == before[name] for name in ("data", "sft", "export_sft", "rl", "export_rl"))
    training = followed("data.decontaminate=[aime]")
    assert [name for name in before if before[name] != training[name]] == ["data"]


def test_a_stage_that_shares_its_folder_moves_its_own_files_aside(here):
    def two(recipe: Recipe) -> list[Stage]:
        base = three_stages(recipe)[0]
        return [replace(base, own=(base.folder / "result",))]

    run(build=two)
    Path("runs/tiny/base/other").touch()
    run("base.steps=700", build=two)
    assert Path("runs/tiny/stale/base-1/result").read_text() == "60"
    assert Path("runs/tiny/base/other").is_file()


def test_a_change_that_adds_to_a_result_leaves_it_in_place_and_a_copy_aside(here):
    def extended(recipe: Recipe) -> list[Stage]:
        base, sft, _ = three_stages(recipe)
        return [base, replace(sft, extends=frozenset({"sft.steps"}))]

    run(build=extended)
    run("sft.steps=41", build=extended)
    assert len(Path("runs/tiny/vcore/seed0/sft/metrics.jsonl").read_text().splitlines()) == 2
    assert Path("runs/tiny/vcore/seed0/stale/sft-1/result").read_text() == "40"
    run("sft.steps=42", "sft.batch_size=7", build=extended)
    assert len(Path("runs/tiny/vcore/seed0/sft/metrics.jsonl").read_text().splitlines()) == 1
