import json

import pytest

from vcore_verl.config.recipe import load, save
from vcore_verl.report import write_report
from vcore_verl.report.collect import collect
from vcore_verl.report.reproduce import commands, trained_differently


@pytest.fixture
def trained(arm):
    """Adds a run of the recipe tiny, with what a pipeline writes beside it."""

    def add(init, rl, *overrides, seed=0, base="a" * 64):
        folder = arm(init, rl, seed=seed)
        recipe = load("tiny", [f"init={init}", f"rl={rl}", f"seed={seed}", "hardware.device=cpu", *overrides])
        save(recipe, folder / "recipe.yaml")
        depends = {
            "sft": {"seed": seed, "init.kl_budget": init, "sft.steps": recipe.sft.steps, "base/hf": base},
            "rl": {"seed": seed, "rl.clip_high": recipe.rl.clip_high, "sft/hf": str(seed) * 64},
        }
        for home, stage in ((folder.parent, "sft"), (folder, "rl")):
            stages = {stage: {"seconds": 1.0, "depends": depends[stage]}}
            (home / "manifest.json").write_text(json.dumps({"stages": stages}))

    return add


def test_arms_of_the_same_seeds_are_one_command(base, trained):
    for seed in (0, 1):
        trained("sft", "grpo", seed=seed)
        trained("vcore", "grpo", seed=seed)
    trained("vcore", "dapo")
    assert sorted(commands("tiny", collect(base).runs)) == [
        "bash scripts/compare.sh tiny inits=sft,vcore rls=grpo seeds=0,1",
        "bash scripts/sft_then_grpo.sh tiny init=vcore rl=dapo seed=0",
    ]
    write_report(base)
    assert "\nbash scripts/compare.sh tiny inits=sft,vcore" in (base / "report" / "report.md").read_text()


def test_a_command_holds_every_setting_that_differs_from_the_recipe(base, trained):
    trained("vcore", "grpo", "sft.steps=7", "init.kl_budget=null", "init.temperature=5", "sft.betas=[0.8,0.9]")
    (command,) = commands("tiny", collect(base).runs)
    words = command.removeprefix("bash scripts/sft_then_grpo.sh tiny ").replace("'", "").split()
    assert set(words[3:]) == {"sft.steps=7", "init.kl_budget=null", "init.temperature=5.0", "sft.betas=[0.8,0.9]"}
    assert load("tiny", words).sft.betas == [0.8, 0.9]


def test_a_variant_is_a_setting_of_the_command(base, trained):
    trained("vcore", "grpo", "variant=steps-7", "sft.steps=7")
    (base / "vcore").rename(base / "vcore+steps-7")
    (command,) = commands("tiny", collect(base).runs)
    words = command.removeprefix("bash scripts/sft_then_grpo.sh tiny ").split()
    assert words == ["init=vcore", "rl=grpo", "seed=0", "variant=steps-7", "sft.steps=7"]


def test_a_variant_of_rl_and_files_elsewhere_are_named_as_they_were_chosen(base, trained, tmp_path):
    files = {"init": tmp_path / "sft.yaml", "rl": tmp_path / "dr_grpo.yaml"}
    files["init"].write_text("name: sft")
    files["rl"].write_text("defaults: [grpo, _self_]\nname: dr_grpo")
    recipe = load("tiny", [f"init={files['init']}", f"rl={files['rl']}", "hardware.device=cpu", "rl.variant=slow"])
    trained("sft", "dr_grpo", "rl=grpo")
    save(recipe, base / "sft" / "seed0" / "dr_grpo" / "recipe.yaml")
    (base / "sft" / "seed0" / "dr_grpo").rename(base / "sft" / "seed0" / "dr_grpo+slow")
    (command,) = commands("tiny", collect(base).runs)
    words = command.removeprefix("bash scripts/sft_then_grpo.sh tiny ").split()
    assert words == [f"init={files['init']}", f"rl={files['rl']}", "seed=0", "rl.variant=slow"]


def test_a_setting_that_is_newer_than_the_run_is_not_one_of_its_own(base, trained):
    trained("vcore", "grpo")
    path = base / "vcore" / "seed0" / "grpo" / "recipe.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "stall_minutes" not in line))
    assert commands("tiny", collect(base).runs) == ["bash scripts/sft_then_grpo.sh tiny init=vcore rl=grpo seed=0"]


def test_a_run_made_elsewhere_has_the_plain_command(base, arm):
    arm("vcore", "grpo")
    assert commands("other", collect(base).runs) == ["bash scripts/sft_then_grpo.sh other init=vcore rl=grpo seed=0"]


def test_runs_that_were_not_trained_like_the_others_are_named(base, trained):
    for init in ("sft", "vcore", "dft"):
        trained(init, "grpo")
    trained("sft", "dapo")
    assert trained_differently(collect(base).runs) == []
    trained("random", "grpo", "sft.steps=7", base="b" * 64)
    assert trained_differently(collect(base).runs) == [
        "random/seed0/grpo: sft.steps=7 (others 100), another base/hf",
    ]
    write_report(base)
    assert "- random/seed0/grpo: sft.steps=7" in (base / "report" / "report.md").read_text()


def test_runs_made_by_other_code_are_named(base, trained):
    for init in ("sft", "vcore", "dft"):
        trained(init, "grpo")
    for init, field, loss in (("sft", "code", "1"), ("vcore", "code", "1"), ("dft", "made_by", "2")):
        path = base / init / "seed0" / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["stages"]["sft"] |= {"code": {"sft/loss.py": "1"}, field: {"sft/loss.py": loss, f"{init}.py": "0"}}
        path.write_text(json.dumps(manifest))
    assert trained_differently(collect(base).runs) == ["dft/seed0/grpo: made by other code in sft/loss.py"]


def test_a_report_states_task_model_data_and_steps(base, trained):
    for init in ("sft", "vcore"):
        trained(init, "grpo", "sft.learning_rate=0.001" if init == "sft" else "sft.learning_rate=0.002")
    write_report(base)
    text = (base / "report" / "report.md").read_text()
    first, _, second = text.splitlines()[2:5]
    assert first.startswith(
        "Primary measure: sampled accuracy on in_domain after RL with a fixed budget (15 steps of grpo)"
    )
    assert second.startswith("After 15 steps of grpo: ")
    assert "- model: builtin:arithmetic, computed in float32\n" in text
    assert "- RL: grpo, 15 steps of 64 prompts, 4 responses each, learning rate 0.0001, KL coefficient 0.001," in text
    assert "0.001, all parameters (sft-grpo); 100 steps of 32, learning rate 0.002, all parameters (vcore-grpo)" in text
