import json

import pytest

from vcore_verl.config.recipe import load, save
from vcore_verl.report.collect import collect
from vcore_verl.report.scores import ReportError


def reasons(root):
    collection = collect(root)
    return [(run.init, run.rl, run.seed) for run in collection.runs], collection.excluded


def test_matching_runs_are_collected(base, arm):
    for init, rl, seed in (("vcore", "grpo", 0), ("vcore", "grpo", 1), ("none", "grpo", 0), ("iw_sft", "dapo", 0)):
        arm(init, rl, seed=seed)
    runs, excluded = reasons(base)
    assert not excluded
    assert runs == [("iw_sft", "dapo", 0), ("none", "grpo", 0), ("vcore", "grpo", 0), ("vcore", "grpo", 1)]


def test_sft_has_a_line_of_its_own_where_a_run_has_no_rl(base, arm):
    arm("vcore", "grpo")
    arm("sft", "none")
    assert reasons(base)[0] == [("vcore", "grpo", 0), ("sft", "none", 0), ("vcore", "none", 0)]


def test_runs_of_the_former_layout_are_named_with_what_moves_them(base, arm):
    arm("vcore", "grpo")
    former = base / "sft-grpo" / "seed0"
    former.mkdir(parents=True)
    save(load("tiny", ["init=sft"]), former / "recipe.yaml")
    runs, excluded = reasons(base)
    assert runs == [("vcore", "grpo", 0)]
    assert excluded == {
        "tiny": f"sft-grpo/seed0 in {base} have the old layout; `python -m vcore_verl migrate {base}` moves them"
    }


def test_rl_from_the_base_model_is_measured_against_it(base, arm):
    arm("none", "grpo")
    collection = collect(base)
    assert collection.runs[0].pre is collection.base


def change(folder, update):
    path = folder / "eval" / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | update))


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        ({"grader_version": "older"}, "post_rl has another grader"),
        ({"dtype": "bfloat16"}, "post_rl has another data type"),
        ({"versions": {"vllm": "0.1"}}, "post_rl has another version of vLLM"),
        ({"device": "cuda"}, "post_rl has another device"),
        ({"schema_version": 0}, "not an evaluation of schema version 2"),
        ({"samples_sha256": "0"}, "not the file that its results.json was made from"),
    ],
)
def test_a_run_that_cannot_be_compared_is_left_out_by_name(base, arm, update, reason):
    arm("sft", "grpo")
    change(arm("vcore", "grpo"), update)
    runs, excluded = reasons(base)
    assert runs == [("sft", "grpo", 0)]
    assert list(excluded) == ["vcore/seed0/grpo"]
    assert reason in excluded["vcore/seed0/grpo"]


@pytest.mark.parametrize(
    ("kwargs", "reason"),
    [
        ({"question": "What is {i}+{i}?"}, "other prompts, answers or chat template in 'in_domain'"),
        ({"num_prompts": 39}, "other prompts, answers or chat template"),
        ({"datasets": ("in_domain",)}, "covers in_domain, "),
    ],
)
def test_other_prompts_are_never_compared(base, arm, kwargs, reason):
    arm("vcore", "grpo", **kwargs)
    runs, excluded = reasons(base)
    assert runs == []
    assert reason in excluded["vcore/seed0/grpo"]


def test_other_decoding_is_never_compared(base, arm, evaluation):
    folder = arm("vcore", "none")
    sampling = json.loads((folder / "eval" / "results.json").read_text())["sampling"]
    change(folder, {"sampling": sampling | {"temperature": 0.6}})
    assert "another decoding" in reasons(base)[1]["vcore/seed0"]


def test_an_unfinished_run_is_left_out_by_name(base, arm):
    folder = arm("vcore", "grpo")
    (folder / "eval" / "results.json").unlink()
    assert "did not finish" in reasons(base)[1]["vcore/seed0/grpo"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_malformed_results_are_left_out_by_name(base, arm, content):
    folder = arm("vcore", "grpo")
    (folder / "eval" / "results.json").write_text(content)
    assert "results.json" in reasons(base)[1]["vcore/seed0/grpo"]


def test_without_the_base_models_evaluation_there_is_nothing_to_compare_with(base, arm):
    arm("sft", "grpo")
    (base / "base" / "eval" / "results.json").unlink()
    with pytest.raises(ReportError, match=r"base/eval/results\.json is missing: the evaluation did not finish"):
        collect(base)
