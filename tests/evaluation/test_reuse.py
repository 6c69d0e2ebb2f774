from dataclasses import replace

import pytest

from vcore_verl.evaluation.grading import Graded
from vcore_verl.evaluation.job import Job, Sampling
from vcore_verl.evaluation.prompts import Prompt
from vcore_verl.evaluation.responses import Response, requests
from vcore_verl.evaluation.results import SAMPLES, write_results
from vcore_verl.evaluation.reuse import reusable

JOB = Job("pre_rl", "/models/hf", {"sums": ""}, Sampling(2, 1.0, 1.0, 16, 42, greedy=True), "float32", "cpu", 1)


def planned(*datasets, question="{i}+{i}=?", answer=2):
    messages = [[{"role": "user", "content": question.format(i=i)}] for i in range(3)]
    prompts = [Prompt(name, f"p{i}", "", messages[i], str(answer * i), {}) for name in datasets for i in range(3)]
    return requests(prompts, JOB.sampling)


@pytest.fixture
def finished(tmp_path):
    graded = []
    for item in planned("sums"):
        rendered = f"<|user|>{item.prompt.messages[0]['content']}<|im_end|>"
        response = Response(*item.key, item.seed, rendered, f"text of {item.key}", "stop", 7)
        graded.append(Graded(item.prompt, response, 1.0, "correct", "", 1.0, 1.0))
    write_results(tmp_path, JOB, "abc", graded)
    return tmp_path


def test_responses_to_the_same_prompts_are_found_beside_a_further_data_set(finished):
    found = reusable(finished, JOB, "abc", planned("sums", "more"))
    assert [response.key for response in found] == [item.key for item in planned("sums")]
    assert found[1].response == f"text of {found[1].key}" and found[1].num_tokens == 7


def test_other_prompts_answers_or_seeds_are_generated_again(finished):
    assert reusable(finished, JOB, "abc", planned("sums", question="{i}*2=?")) == []
    assert len(reusable(finished, JOB, "abc", planned("sums", answer=3))) == 3  # those with the answer 0
    assert reusable(finished, JOB, "abc", [replace(item, seed=1) for item in planned("sums")]) == []


def test_another_checkpoint_decoding_or_engine_is_evaluated_anew(finished):
    for job, sha in ((JOB, "other"), (replace(JOB, dtype="bfloat16"), "abc"), (replace(JOB, device="cuda"), "abc")):
        assert reusable(finished, job, sha, planned("sums")) == []
    hotter = replace(JOB, sampling=replace(JOB.sampling, temperature=0.5))
    assert reusable(finished, hotter, "abc", planned("sums")) == []


def test_samples_that_are_missing_or_altered_are_not_used(finished):
    (finished / SAMPLES).write_bytes((finished / SAMPLES).read_bytes() + b"x")
    assert reusable(finished, JOB, "abc", planned("sums")) == []
    (finished / SAMPLES).unlink()
    assert reusable(finished, JOB, "abc", planned("sums")) == []
