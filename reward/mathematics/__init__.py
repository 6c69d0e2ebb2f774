"""Mathematics: the last boxed answer, compared exactly, by algebra only where that is needed. See README.md."""

from functools import partial
from importlib.metadata import version

from reward.domain import Domain
from reward.mathematics.grading import same_answer
from reward.mathematics.problems import question_key
from reward.mathematics.score import score_response, score_response_async

MATHEMATICS = Domain(
    name="math",
    folder="mathematics",
    version=partial(version, "math-verify"),
    data_sources=(),
    statuses=("correct", "wrong", "no_answer", "parse_error", "timeout"),
    warning_rates={"timeout": 0.02, "parse_error": 0.2},  # README.md, "Counts and warnings"
    costs=(),
    score=score_response,
    score_async=score_response_async,
    same_answer=same_answer,
    shown=str,
    question_key=question_key,
    narrative=str,
    boilerplate_from=None,
)
