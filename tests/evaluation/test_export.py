import json

import pytest

from vcore_verl.evaluation.export import export
from vcore_verl.evaluation.grading import Graded
from vcore_verl.evaluation.job import EvaluationError, Job, Sampling
from vcore_verl.evaluation.prompts import Prompt
from vcore_verl.evaluation.responses import Response, requests
from vcore_verl.evaluation.results import write_results


@pytest.fixture
def folder(tmp_path):
    sampling = Sampling(2, 1.0, 1.0, 16, 42, greedy=True)
    prompts = [Prompt("sums", f"p{i}", "vcore/arithmetic", [], str(i), {}) for i in range(4)]
    graded = []
    for request in requests(prompts, sampling):
        correct = request.prompt.prompt_id != "p3" and request.sample_idx == 0
        response = Response(*request.key, request.seed, f"{request.prompt.gold}=?", "text", "stop", 3)
        graded.append(
            Graded(
                request.prompt, response, float(correct), "correct" if correct else "wrong", "x", float(correct), 1.0
            )
        )
    folder = tmp_path / "eval"
    folder.mkdir()
    write_results(folder, Job("base", "/models/hf", {"sums": ""}, sampling, "float32", "cpu", 1), "abc", graded)
    return folder


def test_lm_eval_layout(folder, tmp_path):
    export(folder, "lm_eval", tmp_path / "out")
    (results,) = (tmp_path / "out" / "hf-abc").glob("results_*.json")
    assert json.loads(results.read_text())["results"]["sums"]["exact_match,none"] == 0.75
    (samples,) = (tmp_path / "out" / "hf-abc").glob("samples_sums_*.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [line["exact_match"] for line in lines] == [1.0, 1.0, 1.0, 0.0]
    assert lines[2]["doc"]["prompt_id"] == "p2" and lines[2]["target"] == "2" and lines[2]["resps"] == [["text"]]


def test_an_unfinished_evaluation_is_not_exported(tmp_path):
    with pytest.raises(EvaluationError, match="no finished evaluation"):
        export(tmp_path, "lm_eval", tmp_path)
