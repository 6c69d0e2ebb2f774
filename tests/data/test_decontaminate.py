import shutil

import pytest

from vcore_verl.config.recipe import RecipeError, load
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.decontaminate import chosen, problems
from vcore_verl.data.published import SAMPLES, DataError, mirror_folder


def test_training_leaves_out_all_benchmarks_of_mathematics_unless_some_are_chosen():
    mathematics = {name for name, benchmark in BENCHMARKS.items() if benchmark.domain == "math"}
    assert mathematics - set(chosen(load("qwen3_4b", []))) == {"big_math_open"}
    copy = "data.rl=open-r1/Big-Math-RL-Verified-Processed"
    assert mathematics - set(chosen(load("qwen3_4b", [copy]))) == {"big_math"}
    assert chosen(load("qwen3_4b", ["evaluation.datasets=[aime]"])) == chosen(load("qwen3_4b", []))
    assert chosen(load("qwen3_4b", ["data.decontaminate=[aime]"])) == ["aime"]
    with pytest.raises(RecipeError, match=r"data.decontaminate: aime26 is not known; choose among aime, "):
        chosen(load("qwen3_4b", ["data.decontaminate=[aime26]"]))


def samples(mirror: str):
    return load("qwen3_4b", [f"data.mirror={mirror}"])


def test_the_problems_of_a_benchmark_are_all_that_it_may_be_drawn_from():
    found = [list(problems(samples(SAMPLES), [name])) for name in ("aime", "supergpqa_1k")]
    assert [len(part) for part in found] == [6, 4]
    assert not any("boxed" in problem.statement for problem in found[0])


def test_a_benchmark_that_is_not_to_be_had_is_named_with_the_key_that_leaves_it_out(tmp_path):
    for repository in ("HuggingFaceH4/aime_2024", "math-ai/aime25"):
        shutil.copytree(mirror_folder(SAMPLES) / repository, tmp_path / repository)
    with pytest.raises(DataError) as error:
        list(problems(samples(str(tmp_path)), ["aime", "gsm8k"]))
    assert str(error.value).startswith("training leaves out the problems of gsm8k, and data.mirror=")
    assert str(error.value).endswith("; or do without: data.decontaminate=[aime]")
    assert "\n" not in str(error.value)
