import json
import subprocess
import sys
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vcore_verl.config.composition import ROOT
from vcore_verl.config.recipe import load
from vcore_verl.evaluation.command import evaluate_command, num_workers, sampling_of, verify_evaluation
from vcore_verl.evaluation.evaluate import _worker_environment
from vcore_verl.evaluation.grading import Graded
from vcore_verl.evaluation.job import Job
from vcore_verl.evaluation.prompts import read_prompts
from vcore_verl.evaluation.responses import Response, requests
from vcore_verl.evaluation.results import write_results
from vcore_verl.runs.layout import ArtefactError, Run


@pytest.fixture
def recipe(tmp_path):
    recipe = load("tiny", [f"output_dir={tmp_path}", "hardware.device=cpu", "evaluation.num_samples=2"])
    data = Run(recipe).data
    data.mkdir(parents=True)
    for name in recipe.evaluation.datasets:
        prompts = [
            {
                "data_source": "vcore/arithmetic",
                "prompt": [{"role": "user", "content": f"{i}+1=?"}],
                "reward_model": {"style": "rule", "ground_truth": str(i + 1)},
                "extra_info": {"prompt_id": f"{i}"},
            }
            for i in range(3)
        ]
        pq.write_table(pa.Table.from_pylist(prompts), data / f"{name}.parquet")
    return recipe


def evaluated(recipe):
    run = Run(recipe)
    datasets = {name: str(run.data / f"{name}.parquet") for name in recipe.evaluation.datasets}
    job = Job("base", "nowhere", datasets, sampling_of(recipe), "float32", "cpu", 1)
    graded = [
        Graded(
            item.prompt, Response(*item.key, item.seed, "1+1=?", "\\boxed{1}", "stop", 3), 1.0, "correct", "1", 1.0, 1.0
        )
        for item in requests(read_prompts(datasets), job.sampling)
    ]
    run.eval_base.mkdir(parents=True)
    write_results(run.eval_base, job, "sha", graded)
    return run


def test_the_command_is_what_the_child_process_understands(recipe):
    command = evaluate_command(recipe, Run(recipe), "post_rl")
    ((path, text),) = command.files.items()
    assert command.argv[-1] == str(path) == str(Run(recipe).eval_post / "job.json")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    job = Job.read(path)
    assert job.checkpoint == str(Run(recipe).rl_hf)
    assert (job.sampling, job.device, job.dtype) == (sampling_of(recipe), "cpu", "float32")
    assert list(job.datasets) == recipe.evaluation.datasets
    assert command.total == 2 * 3 * 3  # data sets, prompts, one greedy response and two samples
    assert command.progress == Run(recipe).eval_post / "progress.jsonl"


def test_before_the_data_exists_the_total_is_what_the_recipe_asks_for(tmp_path):
    recipe = load("tiny", [f"output_dir={tmp_path}", "data.num_test=10", "evaluation.num_samples=2"])
    assert evaluate_command(recipe, Run(recipe), "base").total == 2 * 10 * 3


def test_a_whole_evaluation_is_verified(recipe):
    verify_evaluation(recipe, evaluated(recipe), "base")


def test_a_missing_evaluation_is_named(recipe):
    with pytest.raises(ArtefactError, match=r"results.json is missing"):
        verify_evaluation(recipe, Run(recipe), "base")


def test_samples_that_changed_are_found(recipe):
    run = evaluated(recipe)
    (run.eval_base / "samples.parquet").write_bytes(b"")
    with pytest.raises(ArtefactError, match="not the file"):
        verify_evaluation(recipe, run, "base")


def test_other_sampling_is_found(recipe):
    run = evaluated(recipe)
    changed = replace(recipe, evaluation=replace(recipe.evaluation, temperature=0.5))
    with pytest.raises(ArtefactError, match="other sampling"):
        verify_evaluation(changed, run, "base")


def test_another_grader_is_found(recipe):
    run = evaluated(recipe)
    path = run.eval_base / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"grader_version": "old"}))
    with pytest.raises(ArtefactError, match="another version of reward"):
        verify_evaluation(recipe, run, "base")


def test_a_data_set_that_grew_is_found(recipe):
    run = evaluated(recipe)
    path = run.data / "in_domain.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table]), path)
    with pytest.raises(ArtefactError, match="covers 3 of 6 prompts of 'in_domain'"):
        verify_evaluation(recipe, run, "base")


def test_commands_and_report_import_no_torch():
    modules = (
        "vcore_verl.evaluation.command, vcore_verl.evaluation.standalone, vcore_verl.report, vcore_verl.report.view"
    )
    code = f"import sys, {modules}; sys.exit(bool({{'torch', 'vllm', 'verl'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_engines_that_share_gpus_take_neighbouring_ones(monkeypatch):
    recipe = load("qwen3_32b", ["hardware.device=cuda"])
    assert recipe.hardware.tensor_parallel == 4
    assert num_workers(recipe) == 2
    job = Job("base", "nowhere", {}, sampling_of(recipe), "bfloat16", "cuda", 2, tensor_parallel=4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert _worker_environment(job, 1)["CUDA_VISIBLE_DEVICES"] == "4,5,6,7"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,6,5,4,3,2,1,0")
    assert _worker_environment(job, 0)["CUDA_VISIBLE_DEVICES"] == "7,6,5,4"
