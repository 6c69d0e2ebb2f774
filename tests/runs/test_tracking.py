from pathlib import Path
from types import SimpleNamespace

import pytest
from verl.utils.tracking import Tracking

from vcore_verl.config.recipe import RecipeError, load
from vcore_verl.runs import tracking
from vcore_verl.runs.layout import Run
from vcore_verl.runs.metrics_file import MetricsFile, read


def test_every_tracker_of_verl_can_be_named():
    assert {*tracking.PACKAGES, "console", "file"} == set(Tracking.supported_backend)


def test_trackers_are_off_by_default():
    recipe = load("tiny", [])
    tracking.check(recipe)
    assert tracking.environment(recipe, Run(recipe), Run(recipe).sft) == {}


def test_an_unknown_tracker_names_the_known_ones():
    with pytest.raises(RecipeError, match=r"^tracking: wandbb is not known; choose among tensorboard, wandb, mlflow"):
        tracking.check(load("tiny", ["tracking=[wandbb]"]))


def test_a_tracker_that_is_not_installed_names_its_package(monkeypatch):
    monkeypatch.setattr(tracking, "package_version", lambda name: None)
    with pytest.raises(RecipeError, match=r"^tracking: rl_insight is not installed; pip install rl-insight$"):
        tracking.check(load("tiny", ["tracking=[rl_insight]"]))


def test_files_lie_with_the_stage_and_a_place_of_the_users_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    monkeypatch.setenv("TENSORBOARD_DIR", "elsewhere")
    monkeypatch.delenv("WANDB_DIR", raising=False)
    recipe = load("tiny", [f"output_dir={tmp_path}", "tracking=[tensorboard,wandb,trackio,mlflow]"])
    run = Run(recipe)
    found = tracking.environment(recipe, run, run.sft)
    assert found == {
        "WANDB_DIR": str(run.sft),
        "TENSORBOARD_DIR": str(run.sft / "tensorboard"),
        "TRACKIO_DIR": str(run.root / "trackio"),
    }


def test_runs_are_called_after_arm_seed_and_stage():
    recipe = load("tiny", ["variant=kl0.5", "rl=dapo", "rl.variant=fast", "seed=2"])
    assert [tracking.run_name(recipe, stage) for stage in ("sft", "rl", "base", "pre_rl", "post_rl")] == [
        "vcore+kl0.5-seed2-sft",
        "vcore+kl0.5-dapo+fast-seed2-rl",
        "base-evaluation",
        "vcore+kl0.5-seed2-evaluation",
        "vcore+kl0.5-dapo+fast-seed2-evaluation",
    ]


def test_a_step_is_in_metrics_jsonl_and_flushed_after_tensorboard_has_it(tmp_path: Path):
    happened: list[str] = []
    tensorboard = SimpleNamespace(
        log=lambda data, step: happened.append("logged"),
        writer=SimpleNamespace(flush=lambda: happened.append("flushed")),
    )
    trackers = Tracking("project", "run", [])
    trackers.logger["tensorboard"] = tensorboard
    tracking.add_metrics_file(trackers.logger, MetricsFile(tmp_path / "metrics.jsonl", total=1))
    trackers.log({"train/loss": 0.5}, step=1)
    assert happened == ["logged", "flushed"]
    assert read(tmp_path / "metrics.jsonl") == [{"step": 1, "total": 1, "train/loss": 0.5}]
    del trackers.logger["tensorboard"]  # has nothing to finish
