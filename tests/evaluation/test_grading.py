import time

import pytest

from vcore_verl.evaluation.grading import Grader, grader_version
from vcore_verl.evaluation.prompts import Prompt
from vcore_verl.evaluation.responses import Response

PROMPTS = [Prompt("sums", "a", "vcore/arithmetic", [], "12", {}), Prompt("letters", "a", "supergpqa", [], "B", {})]


def response(dataset, text):
    return Response(dataset, "a", "sample", 0, 1, "?", text, "stop", 3)


def test_responses_are_graded_by_their_own_data_sets_rules():
    answers = [
        response("sums", "<think>5+7</think>\\boxed{12}"),
        response("sums", "<think>5+7</think>\\boxed{13}"),
        response("sums", "12"),
        response("letters", "\\boxed{B}"),
    ]
    with Grader(PROMPTS) as grader:
        verdicts = list(grader.grade(answers))
    assert [(item.score, item.status) for item in verdicts] == [
        (1.0, "correct"),
        (0.0, "wrong"),
        (0.0, "no_answer"),
        (1.0, "correct"),
    ]
    assert verdicts[1].extracted == "13" and verdicts[1].prompt is PROMPTS[0]


def test_other_graders_stand_beside_the_reward():
    unclosed = response("sums", "<think>5+7 = \\boxed{12}")
    answers = {
        "in the answer": response("sums", "<think>5+7</think>\\boxed{12}"),
        "in unclosed thinking": unclosed,
        "in the thinking alone": response("sums", "<think>\\boxed{12}</think>It is done."),
        "another one after the thinking": response("sums", "<think>\\boxed{12}</think>\\boxed{13}"),
        "not boxed": response("sums", "The answer is 12"),
        "nowhere": response("sums", "<think>hm"),
    }
    with Grader(PROMPTS) as grader:
        found = [(item.score, item.math_verify, item.box_anywhere) for item in grader.grade(answers.values())]
    assert dict(zip(answers, found, strict=True)) == {
        "in the answer": (1.0, 1.0, 1.0),
        "in unclosed thinking": (0.0, 1.0, 1.0),
        "in the thinking alone": (0.0, 1.0, 1.0),
        "another one after the thinking": (0.0, 0.0, 0.0),
        "not boxed": (0.0, 1.0, 0.0),
        "nowhere": (0.0, 0.0, 0.0),
    }


@pytest.mark.parametrize("text", [r"\boxed{5^{5^{5^{5^5}}}}", r"\boxed{" + "x^{" * 300 + "}" * 300 + "}"])
def test_a_response_that_math_verify_never_finishes_does_not_hold_up_the_evaluation(text):
    started = time.monotonic()
    with Grader(PROMPTS) as grader:
        hard, easy = grader.grade([response("sums", text), response("sums", "\\boxed{12}")])
    assert (hard.math_verify, easy.math_verify) == (0.0, 1.0)
    assert time.monotonic() - started < 60


def test_the_version_stands_for_the_rewards_code():
    assert grader_version({"math"}) == grader_version({"math"})
    assert len(grader_version({"math"})) == 16


def test_the_users_reward_function_decides_and_the_other_graders_stay(tmp_path):
    file = tmp_path / "my_reward.py"
    file.write_text(
        "def compute_score(data_source, solution_str, ground_truth, extra_info=None):\n"
        "    right = solution_str.endswith(ground_truth)\n"
        "    return {'score': right - 0.1, 'acc': right, 'extracted': solution_str[-2:]}\n"
    )
    answers = [response("sums", "It is 12"), response("sums", "\\boxed{12}")]
    with Grader(PROMPTS, str(file)) as grader:
        found = [
            (item.score, item.status, item.extracted, item.math_verify, item.box_anywhere)
            for item in grader.grade(answers)
        ]
    assert found == [(1.0, "correct", "12", 1.0, 0.0), (0.0, "wrong", "2}", 1.0, 1.0)]
    before = grader_version({"math"}, str(file))
    assert before != grader_version({"math"})
    file.write_text(file.read_text() + "\n")
    assert grader_version({"math"}, str(file)) != before
