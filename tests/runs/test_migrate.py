import json
import os

import pytest

from vcore_verl.config.recipe import load, read, save
from vcore_verl.runs import lock
from vcore_verl.runs.hashing import Digests
from vcore_verl.runs.layout import places
from vcore_verl.runs.migrate import former_runs_line, migrate


@pytest.fixture
def former(tmp_path):
    """Adds a run of the old layout below tmp_path/tiny; `sft` is the content of its SFT's files."""

    def add(init, rl, sft="trained"):
        run = tmp_path / "tiny" / f"{init}-{rl}" / "seed0"
        folders = {"sft": ("sft/hf", "sft", "eval/pre_rl"), "rl": ("rl", "eval/post_rl"), "": ("logs/attempt_1",)}
        wanted = [*folders[""], *(folders["sft"] * (init != "none")), *(folders["rl"] * (rl != "none"))]
        for folder in wanted:
            (run / folder).mkdir(parents=True, exist_ok=True)
            (run / folder / "file").write_text(sft if folder in folders["sft"] else f"{init} {rl}")
        depends = {"package vcore-verl": "0.1.0", "sft.steps": 100}
        record = {"status": "done", "depends": depends, "seconds": 9.0, "artefacts": {"hf": sft}}
        stages = dict.fromkeys(("base", "sft", "export_sft", "evaluate_pre_rl", "rl", "export_rl"), record)
        (run / "manifest.json").write_text(json.dumps({"stages": stages}))
        save(load("tiny", [f"init={init}", f"rl={rl}"]), run / "recipe.yaml")
        (run / ".lock").touch()
        (run / "logs" / "latest").symlink_to("attempt_1")
        return run

    return add


def files(root):
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("file")}


def test_former_runs_are_named_in_one_line(former, tmp_path):
    assert former_runs_line(tmp_path / "tiny") is None
    for rl in ("grpo", "dapo", "none"):
        former("sft", rl)
    former("none", "grpo")
    line = former_runs_line(tmp_path / "tiny")
    assert line.startswith("none-grpo/seed0, sft-dapo/seed0, sft-grpo/seed0, and 1 more in ")
    assert line.endswith(f"`python -m vcore_verl migrate {tmp_path / 'tiny'}` moves them")


def test_every_file_moves_to_where_it_belongs_now(former, tmp_path):
    former("vcore", "grpo")
    former("none", "grpo")
    root = tmp_path / "tiny"
    assert len(list(migrate(root))) == 2
    assert files(root) == {
        "vcore/seed0/sft/file": "trained",
        "vcore/seed0/sft/hf/file": "trained",
        "vcore/seed0/eval/file": "trained",
        "vcore/seed0/grpo/rl/file": "vcore grpo",
        "vcore/seed0/grpo/eval/file": "vcore grpo",
        "vcore/seed0/grpo/logs/attempt_1/file": "vcore grpo",
        "none/seed0/grpo/rl/file": "none grpo",
        "none/seed0/grpo/eval/file": "none grpo",
        "none/seed0/grpo/logs/attempt_1/file": "none grpo",
    }
    home = root / "vcore" / "seed0"
    records = [json.loads((place / "manifest.json").read_text())["stages"] for place in (home, home / "grpo")]
    assert [list(stages) for stages in records] == [["sft", "export_sft", "evaluate_pre_rl"], ["rl", "export_rl"]]
    assert records[0]["sft"]["depends"] == {"sft.steps": 100}
    assert (home / "recipe.yaml").is_file() and (home / "grpo" / "recipe.yaml").is_file()
    assert not list(root.glob("*-*"))
    assert list(migrate(root)) == []
    assert [(place.init, place.rl) for place in places(root)] == [
        ("none", "grpo"),
        ("vcore", "none"),
        ("vcore", "grpo"),
    ]


def test_sft_that_runs_share_by_hard_links_stays_one_on_disk(former, tmp_path):
    first, second = former("vcore", "grpo"), former("vcore", "dapo")
    for name in ("sft/file", "sft/hf/file", "eval/pre_rl/file"):
        (second / name).unlink()
        os.link(first / name, second / name)
    root = tmp_path / "tiny"
    assert not [line for line in migrate(root) if "another" in line]
    home, aside = root / "vcore" / "seed0", root / "vcore" / "seed0" / "grpo" / "stale" / "vcore-grpo"
    for kept, other in (("sft/hf", "sft/hf"), ("eval", "eval/pre_rl")):
        assert (home / kept / "file").samefile(aside / other / "file")
    assert {"vcore/seed0/dapo/rl/file", "vcore/seed0/grpo/rl/file"} < files(root).keys()


def test_another_sft_goes_aside_with_a_line_about_it(former, tmp_path):
    former("vcore", "dapo", sft="first")
    former("vcore", "grpo", sft="second")
    root = tmp_path / "tiny"
    lines = list(migrate(root))
    aside = "vcore/seed0/grpo/stale/vcore-grpo"
    assert lines[1].endswith(f"; its SFT differs from {root}/vcore/seed0/sft and was moved to {root}/{aside}/sft")
    found = files(root)
    assert found["vcore/seed0/sft/hf/file"] == "first"
    assert found[f"{aside}/sft/hf/file"] == found[f"{aside}/eval/pre_rl/file"] == "second"


def test_a_finished_sft_stays_rather_than_one_that_was_stopped(former, tmp_path):
    stopped = former("vcore", "dapo", sft="stopped")
    (stopped / "manifest.json").write_text(json.dumps({"stages": {}}))
    former("vcore", "grpo", sft="finished")
    list(migrate(tmp_path / "tiny"))
    assert files(tmp_path / "tiny")["vcore/seed0/sft/file"] == "finished"


def test_a_run_that_is_being_written_is_not_moved(former, tmp_path):
    run = former("vcore", "grpo")
    with lock.exclusive(run / ".lock"), pytest.raises(lock.Locked):
        list(migrate(tmp_path / "tiny"))
    assert (run / "rl" / "file").is_file()


def test_training_data_that_are_as_they_were_left_stay_done(former, tmp_path):
    former("vcore", "grpo")
    data = tmp_path / "tiny" / "data"
    data.mkdir()
    for name in ("sft", "rl", "aime"):
        (data / f"{name}.parquet").write_text(name)
    digests = Digests(tmp_path / "digests.json")
    depends = {
        "package vcore-verl": "0.1.0",
        "data.sft": "owner/set",
        "data.num_test": 5,
        "evaluation.datasets": ["aime"],
    }
    record = {"status": "done", "depends": depends, "artefacts": {"*.parquet": digests.of(data / "*.parquet")}}
    (tmp_path / "tiny" / "manifest.json").write_text(json.dumps({"stages": {"data": record}}))
    list(migrate(tmp_path / "tiny"))
    moved = json.loads((tmp_path / "tiny" / "manifest.json").read_text())["stages"]["data"]
    assert moved["depends"] == {"data.sft": "owner/set", "data.decontaminate": ["aime"]}
    assert moved["artefacts"] == {name: digests.of(data / name) for name in ("sft.parquet", "rl.parquet")}


def test_settings_that_the_objective_never_had_are_left_behind(former, tmp_path):
    run = former("dft", "grpo")
    recipe = (run / "recipe.yaml").read_text()
    assert "init:\n  name: dft\n" in recipe
    old = recipe.replace("init:\n  name: dft\n", "init:\n  name: dft\n  keep: 0.2\n  probe:\n    every: 1\n")
    (run / "recipe.yaml").write_text(old + "vcore_paper:\n  epsilon: 0.0001\n")
    manifest = json.loads((run / "manifest.json").read_text())
    keys = {"init.name": "dft", "init.keep": 0.2, "init.probe.every": 1, "sft.steps": 100}
    manifest["stages"]["sft"] = manifest["stages"]["sft"] | {"depends": keys}
    (run / "manifest.json").write_text(json.dumps(manifest))
    list(migrate(tmp_path / "tiny"))
    home = tmp_path / "tiny" / "dft" / "seed0"
    moved = json.loads((home / "manifest.json").read_text())["stages"]["sft"]["depends"]
    assert moved == {"init.name": "dft", "sft.steps": 100}
    assert read(home / "recipe.yaml").init.name == read(home / "grpo" / "recipe.yaml").init.name == "dft"
    assert "vcore_paper" in (home / "grpo" / "stale" / "dft-grpo" / "recipe.yaml").read_text()
