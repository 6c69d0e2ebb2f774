from pathlib import Path

from vcore_verl.config.recipe import load
from vcore_verl.runs.layout import Run, places


def run(*overrides: str) -> Run:
    return Run(load("tiny", list(overrides)))


def test_a_run_lies_where_the_design_says():
    here = run("init=dft", "rl=dapo", "seed=3", "output_dir=/results")
    assert here.sft_home == Path("/results/tiny/dft/seed3")
    assert here.dir == here.rl_home == Path("/results/tiny/dft/seed3/dapo")
    assert here.sft_hf == here.sft_home / "sft" / "hf"
    assert here.rl_hf == here.rl_home / "rl" / "hf"
    assert here.eval_pre == here.sft_home / "eval"
    assert here.eval_post == here.rl_home / "eval"
    assert here.eval_base == Path("/results/tiny/base/eval")
    assert here.report == Path("/results/tiny/report")


def test_a_variant_of_an_initialiser_has_a_folder_of_its_own():
    assert run("variant=kl0.5", "init.kl_budget=0.5").sft_home == Path("runs/tiny/vcore+kl0.5/seed0")


def test_a_variant_of_rl_shares_the_sft_that_it_starts_from():
    fast = run("rl.variant=fast", "rl.learning_rate=3e-6")
    assert fast.rl_home == Path("runs/tiny/vcore/seed0/grpo+fast")
    assert fast.sft_hf == run().sft_hf
    assert run("init=none", "rl.variant=fast").dir == Path("runs/tiny/none/seed0/grpo+fast")


def test_rl_runs_lie_below_the_sft_that_they_start_from():
    assert run().sft_home == run("rl=dapo").sft_home == run("rl=none").dir
    assert run("init=none").dir == Path("runs/tiny/none/seed0/grpo")


def test_the_runs_of_a_recipe_are_found(tmp_path):
    for folder in ("base/eval", "stale/base-1", "sft/seed0/eval", "vcore+kl-1/seed2/grpo", "none/seed0/dapo"):
        (tmp_path / folder).mkdir(parents=True)
    assert [(str(p.folder.relative_to(tmp_path)), p.init, p.rl, p.seed) for p in places(tmp_path)] == [
        ("none/seed0/dapo", "none", "dapo", 0),
        ("sft/seed0", "sft", "none", 0),
        ("vcore+kl-1/seed2", "vcore+kl-1", "none", 2),
        ("vcore+kl-1/seed2/grpo", "vcore+kl-1", "grpo", 2),
    ]


def test_seeds_and_arms_share_base_and_data():
    first, second = run(), run("init=dft", "seed=1")
    assert (first.base, first.data, first.report) == (second.base, second.data, second.report)
    assert first.dir != second.dir


def test_the_base_is_what_its_stage_made_or_the_directory_that_the_recipe_names(tmp_path):
    assert run().base_hf == Path("runs/tiny/base/hf")
    assert run("model.path=Qwen/Qwen3-4B").base_hf == Path("runs/tiny/base/hf")
    assert run(f"model.path={tmp_path}").base_hf == tmp_path


def test_rl_starts_from_sft_or_without_it_from_the_base():
    assert run().rl_start == run().sft_hf
    assert run("init=none").rl_start == run().base_hf
