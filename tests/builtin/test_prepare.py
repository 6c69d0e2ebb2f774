import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from vcore_verl.builtin import prepare as builtin
from vcore_verl.config.recipe import load
from vcore_verl.data import command
from vcore_verl.runs.layout import ArtefactError, Run

SETS = ("sft", "rl", "in_domain", "out_of_domain")


@pytest.fixture
def prepared(tmp_path):
    recipe = load("tiny", [f"output_dir={tmp_path}", "data.num_sft=60", "data.num_rl=70", "data.num_test=40"])
    run = Run(recipe)
    builtin.prepare(recipe, run)
    builtin.prepare_tests(recipe, run)
    return recipe, run


def test_every_set_has_its_size_and_verifies(prepared):
    recipe, run = prepared
    rows = {name: pq.read_table(run.data / f"{name}.parquet").num_rows for name in SETS}
    assert rows == {"sft": 60, "rl": 70, "in_domain": 40, "out_of_domain": 40}
    command.verify_data(recipe, run)
    command.verify_test_sets(recipe, run)


def test_other_test_sets_leave_the_training_sets(prepared):
    recipe, run = prepared
    before = {name: (run.data / f"{name}.parquet").stat().st_mtime_ns for name in SETS[:2]}
    recipe = replace(recipe, data=replace(recipe.data, num_test=30))
    builtin.prepare_tests(recipe, run)
    assert pq.read_metadata(run.data / "in_domain.parquet").num_rows == 30
    assert {name: (run.data / f"{name}.parquet").stat().st_mtime_ns for name in SETS[:2]} == before


def test_a_test_row_has_verls_format(prepared):
    _, run = prepared
    row = pq.read_table(run.data / "in_domain.parquet").to_pylist()[0]
    assert row["data_source"] == "vcore/arithmetic"
    assert row["prompt"][0]["role"] == "user"
    assert row["reward_model"] == {"style": "rule", "ground_truth": str(eval(row["prompt"][0]["content"][:-2]))}
    assert row["extra_info"] == {"index": 0, "prompt_id": "in_domain-0", "split": "in_domain"}


def test_spans_of_a_supervised_row_name_the_parts_of_its_text(prepared):
    _, run = prepared
    row = pq.read_table(run.data / "sft.parquet").to_pylist()[0]
    text = row["messages"][1]["content"]
    parts = {span["kind"]: text[span["start"] : span["end"]] for span in row["spans"]}
    assert parts["answer"].startswith("\\boxed{")
    assert "".join(text[span["start"] : span["end"]] for span in row["spans"]) == text


def test_out_of_domain_problems_are_longer_or_larger_than_any_in_training(prepared):
    _, run = prepared
    questions = [row["prompt"][0]["content"] for row in pq.read_table(run.data / "out_of_domain.parquet").to_pylist()]
    operations = [question.count("+") + question.count("-") for question in questions]
    assert all(count >= 5 or min(_operands(q)) > 20 for count, q in zip(operations, questions, strict=True))


def test_no_problem_occurs_twice(prepared):
    _, run = prepared
    tables = [pq.read_table(run.data / f"{name}.parquet").to_pylist() for name in SETS]
    questions = [(row.get("prompt") or row["messages"])[0]["content"] for rows in tables for row in rows]
    assert len(set(questions)) == len(questions) == 60 + 70 + 40 + 40


@pytest.mark.parametrize("name", ["tiny", "lab"])
def test_no_other_set_has_a_problem_of_the_validation_set(name, tmp_path):
    recipe = load(name, [f"output_dir={tmp_path}", "data.num_sft=600", "data.num_test=100", "data.num_validation=80"])
    run = Run(recipe)
    builtin.prepare(recipe, run)
    builtin.prepare_tests(recipe, run)
    builtin.prepare_validation(recipe, run)
    command.verify_validation(recipe, run)
    found = {path.stem: _questions(path) for path in run.data.glob("*.parquet")}
    validation = found.pop("validation")
    assert len(set(validation)) == 80
    assert {"sft", "rl", *recipe.evaluation.datasets} == found.keys()
    assert not any(set(validation) & set(others) for others in found.values())


def _questions(path):
    return [(row.get("prompt") or row["messages"])[0]["content"] for row in pq.read_table(path).to_pylist()]


def test_a_missing_or_short_file_does_not_verify(prepared):
    recipe, run = prepared
    summary = json.loads((run.data / "data.json").read_text())
    (run.data / "data.json").write_text(json.dumps({"rows": summary["rows"] | {"rl": 71}}))
    with pytest.raises(ArtefactError, match="holds 70 rows, expected 71"):
        command.verify_data(recipe, run)
    recipe = replace(recipe, evaluation=replace(recipe.evaluation, datasets=["in_domain", "aime"]))
    with pytest.raises(ArtefactError, match=r"test_sets.json lacks aime"):
        command.verify_test_sets(recipe, run)


def _operands(question: str) -> list[int]:
    return [int(number) for number in question.removesuffix("=?").replace("-", "+").split("+")]
