import json

import pyarrow.parquet as pq
import pytest

from vcore_verl.builtin.families import build_tokenizer
from vcore_verl.builtin.random_model import sample_texts
from vcore_verl.config.recipe import load
from vcore_verl.data.command import verify_validation
from vcore_verl.data.generated import evaluation_rows, evaluation_sets
from vcore_verl.data.hub import DataError
from vcore_verl.data.prepare import prepare
from vcore_verl.data.validation import prepare_validation
from vcore_verl.runs.hashing import file_sha
from vcore_verl.runs.layout import Run

TRAINED = ("sft", "rl")


def prepared(tmp_path, *words: str) -> tuple:
    output = [f"output_dir={tmp_path}", "scale=smoke", "hardware.device=cpu"]
    recipe = load("qwen3_4b", [*output, *words])
    run = Run(recipe)
    build_tokenizer("qwen3", sample_texts(), 400).save_pretrained(run.base_hf)
    prepare(recipe, run)
    return recipe, run


def own_files(tmp_path, num_rl: int) -> list[str]:
    """Files of 10 SFT rows and `num_rl` RL rows; five problems are in both."""
    supervised = [{"messages": [*_user(f"What is {i} + {i}?"), _assistant(f"\\boxed{{{2 * i}}}")]} for i in range(10)]
    problems = [{"problem": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(5, 5 + num_rl)]
    for name, rows in {"sft": supervised, "rl": problems}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [*(f"data.{name}={tmp_path / name}.jsonl" for name in TRAINED), "data.num_sft=10", "data.num_rl=20"]


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def questions(path) -> set[str]:
    return {(row.get("prompt") or row["messages"][:1])[-1]["content"] for row in pq.read_table(path).to_pylist()}


def test_problems_of_a_file_that_no_training_set_has_are_held_out_and_training_stays(tmp_path):
    recipe, run = prepared(tmp_path, *own_files(tmp_path, 30), "data.num_validation=5")
    before = {name: file_sha(run.data / f"{name}.parquet") for name in TRAINED}
    prepare_validation(recipe, run)
    verify_validation(recipe, run)
    found = {path.stem: {text.splitlines()[1] for text in questions(path)} for path in run.data.glob("rl.parquet")}
    validation = {text.splitlines()[1] for text in questions(run.validation_set)}
    supervised = {f"What is {i} + {i}?" for i in range(10)}
    assert len(validation) == 5
    assert validation | found["rl"] == {f"What is {i} + {i}?" for i in range(10, 35)}  # all that SFT does not have
    assert not validation & (found["rl"] | supervised)
    assert {name: file_sha(run.data / f"{name}.parquet") for name in TRAINED} == before


def test_a_source_whose_problems_are_all_trained_on_says_what_to_set(tmp_path):
    recipe, run = prepared(tmp_path, *own_files(tmp_path, 27), "data.num_validation=5")
    with pytest.raises(DataError, match=r"data.num_validation=5, and .*rl.jsonl has 2 problems besides .*num_rl=20"):
        prepare_validation(recipe, run)


def test_generated_problems_are_none_of_the_test_in_domain(tmp_path):
    name = "reasoning_gym:gsm_symbolic"
    words = [f"data.sft={name}", f"data.rl={name}", "evaluation.datasets=[in_domain]", "data.num_validation=20"]
    recipe, run = prepared(tmp_path, *words, "data.num_test=30")
    prepare_validation(recipe, run)
    verify_validation(recipe, run)
    tests = {
        row["prompt"][-1]["content"]
        for row in evaluation_rows(evaluation_sets(name, name)["in_domain"], "in_domain", 30)
    }
    validation = {row["prompt"][-1]["content"] for row in pq.read_table(run.validation_set).to_pylist()}
    trained = {row["prompt"][-1]["content"] for row in pq.read_table(run.data / "rl.parquet").to_pylist()}
    assert len(validation) == 20
    assert not validation & (tests | trained)
