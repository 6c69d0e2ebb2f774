import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward.mathematics.problems import question_key
from vcore_verl.config.recipe import RecipeError, load
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.decontaminate import WORDS, EvaluationProblems, chosen, problems
from vcore_verl.data.published import SAMPLES, DataError, mirror_folder

ASKED = "Two trains leave at noon from towns that are 300 km apart, and the first one goes twice as fast."
EVALUATION = EvaluationProblems([ASKED, "What is $\\frac{1}{2}+1$?"])


@given(st.lists(st.sampled_from(["x", "y", "zz"]), max_size=30), st.integers(0, 7))
def test_thirteen_words_in_a_row_are_found_wherever_they_are_planted(filler, start):
    words = ASKED.rstrip(".").replace(",", "").split()
    planted = " ".join([*filler, *words[start : start + WORDS], *filler])
    assert EVALUATION.overlaps(planted)
    broken = " ".join([*filler, *words[start : start + WORDS - 1], "q", *filler])
    assert not EVALUATION.overlaps(broken)


def test_typesetting_hides_no_problem():
    assert EVALUATION.contains("what is  $ \\dfrac{1}{2} + 1 $")
    assert EVALUATION.contains("What is \\frac{1}{2}+1?")


def test_problems_that_differ_by_a_sign_or_a_digit_are_different():
    assert not EVALUATION.contains("What is $\\frac{1}{2}-1$?")
    assert question_key("Find 12 + 3") != question_key("Find 1 + 23")


def test_training_leaves_out_all_benchmarks_unless_some_are_chosen():
    assert set(BENCHMARKS) - set(chosen(load("qwen3_4b", []))) == {"big_math_open"}
    copy = "data.rl=open-r1/Big-Math-RL-Verified-Processed"
    assert set(BENCHMARKS) - set(chosen(load("qwen3_4b", [copy]))) == {"big_math"}
    assert chosen(load("qwen3_4b", ["evaluation.datasets=[aime]"])) == chosen(load("qwen3_4b", []))
    assert chosen(load("qwen3_4b", ["data.decontaminate=[aime]"])) == ["aime"]
    with pytest.raises(RecipeError, match=r"data.decontaminate: aime26 is not known; choose among aime, "):
        chosen(load("qwen3_4b", ["data.decontaminate=[aime26]"]))


def samples(names: str, mirror: str = SAMPLES):
    return load("qwen3_4b", [f"data.mirror={mirror}", f"data.decontaminate=[{names}]"])


def test_the_problems_of_a_benchmark_are_all_that_it_may_be_drawn_from():
    found = dict(zip(["aime", "supergpqa_1k"], problems(samples("aime,supergpqa_1k")), strict=True))
    assert len(found["aime"]) == 6 and len(found["supergpqa_1k"]) == 4
    assert not any("boxed" in question for question in found["aime"])


def test_a_benchmark_that_is_not_to_be_had_is_named_with_the_key_that_leaves_it_out(tmp_path):
    for repository in ("HuggingFaceH4/aime_2024", "math-ai/aime25"):
        shutil.copytree(mirror_folder(SAMPLES) / repository, tmp_path / repository)
    with pytest.raises(DataError) as error:
        list(problems(samples("aime,gsm8k", str(tmp_path))))
    assert str(error.value).startswith("training leaves out the problems of gsm8k, and data.mirror=")
    assert str(error.value).endswith("; or do without: data.decontaminate=[aime]")
    assert "\n" not in str(error.value)
