import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vcore_verl.config.recipe import RecipeError, load, save
from vcore_verl.data.code import judging
from vcore_verl.data.published import SAMPLES
from vcore_verl.evaluation.job import EvaluationError
from vcore_verl.evaluation.standalone import asked_of, output_of, recipe_of
from vcore_verl.runs.layout import Run


@pytest.fixture
def recipe(tmp_path):
    return load("tiny", [f"output_dir={tmp_path / 'runs'}", "hardware.device=cpu"])


def job_of(command):
    (text,) = command.files.values()
    return json.loads(text)


def test_a_checkpoint_of_a_run_knows_its_recipe(recipe, tmp_path):
    folder = tmp_path / "runs" / "tiny" / "vcore" / "seed0" / "grpo"
    (folder / "rl" / "hf").mkdir(parents=True)
    save(recipe, folder / "recipe.yaml")
    assert recipe_of(folder / "rl" / "hf") == recipe
    assert recipe_of(tmp_path / "elsewhere") is None


def test_checkpoints_do_not_share_a_folder_of_results(recipe, tmp_path):
    places = [tmp_path / "runs" / "tiny" / arm / "seed0" / "grpo" / "rl" / "hf" for arm in ("a", "b")]
    assert [output_of(place, recipe).name for place in places] == ["tiny-a-seed0-grpo-rl-hf", "tiny-b-seed0-grpo-rl-hf"]


@pytest.fixture
def checkpoint(recipe):
    """An empty checkpoint in a run of `recipe`."""
    folder = Run(recipe).rl_home
    (folder / "rl" / "hf").mkdir(parents=True)
    save(recipe, folder / "recipe.yaml")
    return folder / "rl" / "hf"


def test_the_recipes_data_sets_are_the_default(recipe, checkpoint):
    data = Run(recipe).data
    data.mkdir(parents=True)
    for name in ("in_domain", "out_of_domain"):
        pq.write_table(pa.table({"prompt": ["1", "2", "3"]}), data / f"{name}.parquet")
    _, command = asked_of(checkpoint, [], None, None)
    assert job_of(command)["datasets"] == {name: f"{data / name}.parquet" for name in ("in_domain", "out_of_domain")}
    assert command.total == 6 * 5


def test_a_parquet_file_is_a_data_set(checkpoint, tmp_path):
    pq.write_table(pa.table({"prompt": ["1"]}), tmp_path / "mine.parquet")
    results, command = asked_of(checkpoint, [str(tmp_path / "mine.parquet")], None, tmp_path / "out")
    assert job_of(command)["datasets"] == {"mine": str(tmp_path / "mine.parquet")}
    assert results == tmp_path / "out"


def test_a_run_s_checkpoint_is_evaluated_with_its_own_decoding(recipe, tmp_path):
    folder = tmp_path / "runs" / "tiny" / "vcore" / "seed0" / "grpo"
    (folder / "rl" / "hf").mkdir(parents=True)
    recipe.evaluation.num_samples = 7
    save(recipe, folder / "recipe.yaml")
    pq.write_table(pa.table({"prompt": ["1"]}), tmp_path / "mine.parquet")
    results, command = asked_of(folder / "rl" / "hf", [str(tmp_path / "mine.parquet")], None, None)
    assert job_of(command)["sampling"]["num_samples"] == 7
    assert str(results) == f"{tmp_path}/runs/evaluations/tiny-vcore-seed0-grpo-rl-hf"
    assert command.argv[-1] == f"{results}/job.json"


def test_a_finished_evaluation_is_not_run_again(tmp_path):
    (tmp_path / "results.json").touch()
    assert asked_of(tmp_path, [], None, None) == (tmp_path, None)


def test_a_checkpoint_from_elsewhere_needs_a_recipe(tmp_path):
    with pytest.raises(EvaluationError, match="is in no run: say with --recipe"):
        asked_of(tmp_path / "hf", [], None, None)


def test_an_unknown_data_set_is_named(checkpoint):
    with pytest.raises(EvaluationError, match="no data set 'aime26': give one of aime, big_math"):
        asked_of(checkpoint, ["aime26"], None, None)


def test_a_benchmark_of_programs_needs_what_runs_them(checkpoint, monkeypatch):
    monkeypatch.setattr(judging, "which", lambda name: None)
    with pytest.raises(RecipeError, match=r"evaluation\.datasets=ojbench_cpp needs g\+\+"):
        asked_of(checkpoint, ["ojbench_cpp"], None, None)


def test_a_missing_benchmark_is_prepared_as_the_recipe_says(recipe, checkpoint):
    recipe.data.mirror, recipe.evaluation.max_prompts = SAMPLES, 3
    save(recipe, checkpoint.parents[1] / "recipe.yaml")
    _, command = asked_of(checkpoint, ["livecodebench_window"], None, None)
    assert command.total == 3 * 5
