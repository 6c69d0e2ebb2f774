"""The domain of programs: the last fenced block, run on hidden tests. See README.md."""

from reward.code.problems import narrative, question_key
from reward.code.score import COSTS, judged, same_program, score_response, score_response_async, shown, version
from reward.domain import STATUSES, Domain

CODE = Domain(
    name="code",
    folder="code",
    version=version,
    data_sources=("code/",),
    statuses=STATUSES,
    warning_rates={"timeout": 0.3},  # a time-out is a verdict on the program; many of them mean that limits are too low
    costs=COSTS,
    score=score_response,
    score_async=score_response_async,
    same_answer=same_program,
    shown=shown,
    question_key=question_key,
    narrative=narrative,
    boilerplate_from=3,
    judged=judged,
)
