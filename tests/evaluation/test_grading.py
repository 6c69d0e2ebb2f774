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


def test_the_version_stands_for_the_rewards_code():
    assert grader_version() == grader_version()
    assert len(grader_version()) == 16
