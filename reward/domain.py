"""What belongs to a kind of problem, and what every kind has in common: statuses, options, the form of a score."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

# Of all domains. verl requires the same keys in every row, so each row counts all of them.
STATUSES = ("correct", "wrong", "no_answer", "parse_error", "timeout", "runtime_error")

OVERLAP_WORDS = 13  # in a row that a training problem shares with an evaluation problem count as contamination


class Score(TypedDict):
    """score: the reward; acc: 1.0 if correct, else 0.0; extracted: the answer, cut to 200 characters, "" if none."""

    score: float
    acc: float
    status: str
    extracted: str


@dataclass(frozen=True)
class Scored:
    """A score and its cost.

    seconds: from call to verdict. workers_replaced: processes lost or killed meanwhile. costs: the domain's own figures
    by name, each a mean worth logging.
    """

    score: float
    status: str
    extracted: str
    seconds: float
    workers_replaced: int
    costs: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> Score:
        return {
            "score": self.score,
            "acc": float(self.status == "correct"),
            "status": self.status,
            "extracted": self.extracted,
        }


@dataclass(frozen=True)
class Options:
    """How responses are scored; a domain reads those that concern it.

    Args:
        deadline_s: mathematics: seconds that an answer may occupy a worker process, counted from dispatch.
        format_weight: added to the score of a response with an answer in the requested format, right or wrong.
        tests: code: the folder of the tests that ground truths refer to (`reward.code.store`).
        max_tests: code: run at most so many tests, those with the longest inputs; None: all.
        jail: code: "auto", or the kind of confinement that must be in use (`reward.code.jail`).
        fusion_url: code: a Sandbox Fusion service to run programs in instead of this machine's jail.
    """

    deadline_s: float = 5.0
    format_weight: float = 0.0
    tests: str = ""
    max_tests: int | None = None
    jail: str = "auto"
    fusion_url: str | None = None

    def score(self, status: str) -> float:
        return float(status == "correct") + self.format_weight * (status != "no_answer")


@dataclass(frozen=True)
class Domain:
    """One kind of problem.

    Attributes:
        name: verl's `ability` in the rows of training data.
        folder: its folder below `reward/`.
        version: what its verdicts depend on besides the code in that folder.
        data_sources: what the `data_source` of its rows begins with; () for the domain of all others.
        statuses: those of `STATUSES` that its responses can end with.
        warning_rates: shares of a status above which the reward no longer measures correctness.
        costs: the names in `Scored.costs`.
        score: the verdict on a response, from data source, response, ground truth and options.
        score_async: the same for an event loop, which it blocks for milliseconds at most.
        same_answer: whether two answers that were not judged correct, as in `Score.extracted`, are the same.
        shown: a ground truth as a report shows it.
        question_key: a problem without what does not distinguish it from another; equal keys are duplicates.
        narrative: the part of a problem whose words are compared with those of benchmarks.
        boilerplate_from: words in so many evaluation problems identify none of them; None: in however many.
        judged: whether anything here can judge the answers to a ground truth; if not, all are wrong.
    """

    name: str
    folder: str
    version: Callable[[], str]
    data_sources: tuple[str, ...]
    statuses: tuple[str, ...]
    warning_rates: Mapping[str, float]
    costs: tuple[str, ...]
    score: Callable[[str, str, Any, Options], Scored]
    score_async: Callable[[str, str, Any, Options], Awaitable[Scored]]
    same_answer: Callable[[str, str], bool]
    shown: Callable[[str], str]
    question_key: Callable[[str], str]
    narrative: Callable[[str], str]
    boilerplate_from: int | None
    judged: Callable[[str], bool] = lambda ground_truth: True
