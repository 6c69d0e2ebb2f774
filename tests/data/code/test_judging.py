"""Training data for programming, prepared from the samples of published sets."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from reward import compute_score
from vcore_verl.builtin.families import build_tokenizer
from vcore_verl.builtin.random_model import sample_texts
from vcore_verl.config.checks import CODE
from vcore_verl.config.recipe import RecipeError, load
from vcore_verl.data import sources
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.code import judging
from vcore_verl.data.code.deepcoder import UNSOLVED
from vcore_verl.data.prepare import prepare
from vcore_verl.data.published import SAMPLES, mirror_folder
from vcore_verl.runs.layout import Run

SOLVED = 23  # of the samples, which have two problems without tests and one with a wrong solution
DEEPCODER, OPENCODE = "agentica-org/DeepCoder-Preview-Dataset", "nvidia/OpenCodeReasoning-2"


def recipe_in(language: str, *words: str):
    named = [f"data.sft={OPENCODE}:{language}", f"data.rl={DEEPCODER}:{language}"]
    return load("qwen3_0_6b", ["scale=smoke", "hardware.device=cpu", "data.solve_rate=null", *named, *words])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Run:
    every = ["data.decontaminate=[]", "data.max_prompt_tokens=1024", f"data.num_rl={SOLVED}"]
    recipe = recipe_in("python", f"output_dir={tmp_path_factory.mktemp('code')}", *every)
    run = Run(recipe)
    build_tokenizer("qwen3", sample_texts(), 400).save_pretrained(run.base_hf)
    prepare(recipe, run)
    return run


def test_rl_rows_refer_to_tests_that_a_published_solution_passes(prepared):
    published = sources.open_source("rl", f"{DEEPCODER}:python", mirror_folder(SAMPLES), None)[1].rows
    solutions = {row["problem"].strip(): row["solutions"] for row in published}
    rows = pq.read_table(prepared.data / "rl.parquet").to_pylist()
    assert len(rows) == SOLVED and {row["ability"] for row in rows} == {"code"}
    for row in rows:
        asked, truth = row["prompt"][0]["content"], row["reward_model"]["ground_truth"]
        known = next(found for statement, found in solutions.items() if statement in asked)
        answers = [text if text.startswith("```") else f"```python\n{text}\n```" for text in known]
        statuses = {
            compute_score("code/deepcoder", text, truth, tests=str(prepared.tests))["status"] for text in answers
        }
        assert "correct" in statuses


def test_problems_whose_solutions_fail_here_are_counted_and_dropped(prepared):
    funnel = json.loads((prepared.data / "data.json").read_text())["sets"]["rl"]["funnel"]
    assert [step["dropped"] for step in funnel if step["reason"] == UNSOLVED] == [1]


def test_sft_rows_say_that_they_are_programs(prepared):
    rows = pq.read_table(prepared.data / "sft.parquet").to_pylist()
    assert len(rows) == 8 and {row["ability"] for row in rows} == {"code"}
    assert all("```python" in row["messages"][-1]["content"].rpartition("</think>")[2] for row in rows)


def test_the_recipes_know_which_sources_and_benchmarks_are_programming():
    every = (*sources.SFT_SOURCES, *sources.RL_SOURCES)
    published = {source.name for source in every if source.domain == sources.CODE}
    evaluated = {name for name, benchmark in BENCHMARKS.items() if benchmark.domain == sources.CODE}
    assert published | evaluated == CODE - {"builtin:puzzles"} and len(evaluated) == 7


def test_without_a_compiler_cpp_is_refused_before_anything_starts(monkeypatch):
    assert shutil.which("g++") is None or judging.check(recipe_in("cpp")).startswith("run in a jail of kind ")
    monkeypatch.setattr(judging, "which", lambda name: None)
    with pytest.raises(RecipeError, match=r"data\.rl=.*:cpp needs g\+\+, which is not on the PATH: install it"):
        judging.check(recipe_in("cpp"))


def test_settings_for_programs_are_refused_where_there_are_none():
    with pytest.raises(RecipeError, match=r"code\.max_tests would be ignored: the recipe has no problems of prog"):
        load("tiny", ["code.max_tests=3"])
