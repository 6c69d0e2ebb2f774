from pathlib import Path

from vcore_verl.config.recipe import load
from vcore_verl.runs.layout import Run


def run(*overrides: str) -> Run:
    return Run(load("tiny", list(overrides)))


def test_a_run_lies_where_the_design_says():
    here = run("init=dft", "rl=dapo", "seed=3", "output_dir=/results")
    assert here.dir == Path("/results/tiny/dft-dapo/seed3")
    assert here.sft_hf == here.dir / "sft" / "hf"
    assert here.rl_hf == here.dir / "rl" / "hf"
    assert here.eval_pre == here.dir / "eval" / "pre_rl"
    assert here.eval_post == here.dir / "eval" / "post_rl"
    assert here.eval_base == Path("/results/tiny/base/eval")
    assert here.report == Path("/results/tiny/report")


def test_a_variant_of_an_initialiser_has_a_folder_of_its_own():
    assert run("variant=kl0.5", "init.kl_budget=0.5").dir == Path("runs/tiny/vcore+kl0.5-grpo/seed0")


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
