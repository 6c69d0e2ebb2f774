import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from reward.code.reference import Reference
from vcore_verl.evaluation.grading import Graded
from vcore_verl.evaluation.job import Job, Sampling
from vcore_verl.evaluation.prompts import Prompt
from vcore_verl.evaluation.responses import Response, requests
from vcore_verl.evaluation.results import write_results
from vcore_verl.evaluation.statistics import mean_interval
from vcore_verl.runs.hashing import file_sha

SAMPLING = Sampling(3, 1.0, 1.0, 16, 42, greedy=True)


def graded(rendered="{gold}=?"):
    rng = np.random.default_rng(0)
    prompts = [Prompt("sums", f"p{i}", "vcore/arithmetic", [], str(i), {}) for i in range(20)]
    for request in requests(prompts, SAMPLING):
        status = rng.choice(["correct", "wrong", "no_answer", "timeout"])
        reason = rng.choice(["stop", "length"])
        prompt = rendered.format(gold=request.prompt.gold)
        response = Response(*request.key, request.seed, prompt, "text", str(reason), int(rng.integers(1, 9)))
        yield Graded(request.prompt, response, float(status == "correct"), str(status), "", float(rng.integers(2)), 1.0)


def written(folder, items):
    write_results(folder, Job("base", "/models/hf", {"sums": ""}, SAMPLING, "float32", "cpu", 1), "abc", list(items))
    return json.loads((folder / "results.json").read_text())


def test_every_figure_equals_one_recomputed_from_the_parquet(tmp_path):
    results = written(tmp_path, graded())
    table = pq.read_table(tmp_path / "samples.parquet").to_pandas()
    assert results["samples_sha256"] == file_sha(tmp_path / "samples.parquet")
    samples = table[table.decoding == "sample"]
    means = samples.groupby("prompt_id").score.mean()
    figures = results["datasets"]["sums"]
    assert (figures["num_prompts"], figures["num_samples"]) == (20, 3)
    assert figures["avg_at_n"]["mean"] == pytest.approx(means.mean())
    interval = mean_interval(means)
    assert figures["avg_at_n"]["ci95"] == pytest.approx([interval.low, interval.high])
    assert figures["other_graders"]["math_verify"]["mean"] == pytest.approx(samples.math_verify.mean())
    assert figures["other_graders"]["box_anywhere"]["mean"] == samples.box_anywhere.mean() == 1.0
    greedy = table[table.decoding == "greedy"]
    assert figures["greedy"]["other_graders"]["math_verify"]["mean"] == pytest.approx(greedy.math_verify.mean())
    assert figures["pass_at_k"]["1"]["mean"] == pytest.approx(means.mean())
    assert figures["pass_at_k"]["3"]["mean"] == pytest.approx(samples.groupby("prompt_id").score.max().mean())
    assert {name: n for name, n in figures["status_counts"].items() if n} == samples.status.value_counts().to_dict()
    assert figures["mean_tokens"] == pytest.approx(samples.num_tokens.mean())
    assert figures["truncated_frac"] == pytest.approx((samples.finish_reason == "length").mean())
    assert figures["greedy"]["mean"] == pytest.approx(table[table.decoding == "greedy"].score.mean())


def test_rows_do_not_depend_on_the_order_in_which_responses_came(tmp_path):
    for name, items in (("a", list(graded())), ("b", list(graded())[::-1])):
        (tmp_path / name).mkdir()
        written(tmp_path / name, items)
    assert pq.read_table(tmp_path / "a" / "samples.parquet") == pq.read_table(tmp_path / "b" / "samples.parquet")


def test_another_chat_template_is_another_data_set(tmp_path):
    shas = [
        written(tmp_path, graded(rendered))["datasets"]["sums"]["dataset_sha"]
        for rendered in ("{gold}=?", "<u>{gold}=?")
    ]
    assert shas[0] != shas[1]


def test_results_count_the_problems_that_nothing_here_can_judge(tmp_path):
    truths = [Reference("", 0).dumps(), Reference("a" * 64, 7).dumps(), Reference("", 0).dumps()]
    prompts = [Prompt("sums", f"p{i}", "code/ojbench", [], truth, {}) for i, truth in enumerate(truths)]
    answers = [
        Graded(request.prompt, Response(*request.key, 1, "?", "text", "stop", 3), 0.0, "wrong", "", None, None)
        for request in requests(prompts, SAMPLING)
    ]
    assert written(tmp_path, answers)["datasets"]["sums"]["unjudged"] == 2
    assert "unjudged" not in written(tmp_path, graded())["datasets"]["sums"]


def test_nothing_half_written_is_left(tmp_path):
    written(tmp_path, graded())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json", "samples.parquet"]


def test_results_say_whether_training_left_out_what_they_are_on(tmp_path):
    checkpoint = tmp_path / "run" / "sft" / "hf"
    checkpoint.mkdir(parents=True)
    assert "decontaminated" not in written(tmp_path, graded())["datasets"]["sums"]
    (tmp_path / "data").mkdir()
    for left_out, expected in ((["sums"], True), (["aime"], False)):
        (tmp_path / "data" / "data.json").write_text(json.dumps({"decontaminated": left_out}))
        job = Job("pre_rl", str(checkpoint), {"sums": ""}, SAMPLING, "float32", "cpu", 1)
        write_results(tmp_path, job, "abc", list(graded()))
        results = json.loads((tmp_path / "results.json").read_text())
        assert results["datasets"]["sums"]["decontaminated"] is expected
