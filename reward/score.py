"""From a response to a score: extract, compare exactly, and only if undecided ask a worker process."""

import asyncio
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypedDict

from reward.extraction import MAX_ANSWER_CHARS, AnswerStyle, answer_style, extract_answer
from reward.grading import grade, grade_choice, grade_numeral
from reward.pool import Outcome, WorkerPool
from reward.shape import Unreadable

DEADLINE_S = 5.0
PLAIN_DEADLINE_S = 10.0  # math_verify's own limits for one parse and one comparison

_MAX_EXTRACTED_CHARS = 200


class Score(TypedDict):
    """score: the reward; acc: 1.0 if correct, else 0.0; extracted: the answer, cut to 200 characters, "" if none."""

    score: float
    acc: float
    status: str
    extracted: str


@dataclass(frozen=True)
class Scored:
    """A score and its cost: seconds from call to verdict, worker processes lost or killed meanwhile."""

    score: float
    status: str
    extracted: str
    seconds: float
    workers_replaced: int

    def as_dict(self) -> Score:
        return {
            "score": self.score,
            "acc": float(self.status == "correct"),
            "status": self.status,
            "extracted": self.extracted,
        }


@dataclass(frozen=True)
class Options:
    """How an answer is scored.

    Args:
        deadline_s: seconds that an answer may occupy a worker process, counted from dispatch.
        format_weight: added to the score of a response with an answer in the requested format, right or wrong.
    """

    deadline_s: float = DEADLINE_S
    format_weight: float = 0.0

    def score(self, status: str) -> float:
        return float(status == "correct") + self.format_weight * (status != "no_answer")


@dataclass(frozen=True)
class _Case:
    """One response after the in-process steps: an outcome, or the question left for algebra."""

    extracted: str
    outcome: Outcome | None
    question: dict
    started: float

    def settle(self, options: Options) -> Scored:
        outcome = self.outcome or _process.pool.ask(self.question, options.deadline_s)
        seconds = time.monotonic() - self.started
        return Scored(options.score(outcome.status), outcome.status, self.extracted, seconds, outcome.replaced)


class _Process:
    """State shared by the threads of a process. Workers start on demand; a forked child gets its own state."""

    def __init__(self) -> None:
        self.pool = WorkerPool(size=min(4, os.cpu_count() or 1))
        self.threads = ThreadPoolExecutor(self.pool.size, thread_name_prefix="reward")


def _renew() -> None:
    global _process
    _process = _Process()


_process = _Process()
os.register_at_fork(after_in_child=_renew)


def compute_score(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: dict | None = None, **options: Any
) -> Score:
    """Score one response. Safe to call from any number of threads.

    Args:
        data_source: determines how answers are written (`reward.extraction.answer_style`).
        solution_str: the response, special tokens removed.
        ground_truth: the accepted answer, or a list of them: str, int or float.
        extra_info: not used; part of verl's signature.
        options: fields of `Options`.

    Raises:
        ValueError: the ground truth is empty or of another type.
        RuntimeError: worker processes cannot be started.
    """
    return score_response(data_source, solution_str, ground_truth, Options(**options)).as_dict()


def plain_score(response: str, ground_truth: Any) -> float:
    """1.0 where plain math_verify accepts a whole response, see `reward.plain`; a time-out is 0.0, as in verl."""
    question = {"golds": accepted_answers(ground_truth), "response": response}
    return float(_process.pool.ask(question, PLAIN_DEADLINE_S).status == "correct")


async def compute_score_async(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: dict | None = None, **options: Any
) -> Score:
    """`compute_score` for an event loop; see `score_response_async`."""
    return (await score_response_async(data_source, solution_str, ground_truth, Options(**options))).as_dict()


def score_response(data_source: str, response: str, ground_truth: Any, options: Options) -> Scored:
    return _examine(data_source, response, ground_truth).settle(options)


async def score_response_async(data_source: str, response: str, ground_truth: Any, options: Options) -> Scored:
    """Blocks the event loop only for the in-process steps.

    Answers that exact arithmetic decides never wait behind one that needs a worker, as they would in a thread pool.
    """
    case = _examine(data_source, response, ground_truth)
    if case.outcome:
        return case.settle(options)
    return await asyncio.get_running_loop().run_in_executor(_process.threads, case.settle, options)


def warm_up() -> None:
    """Start this process's workers now instead of on demand."""
    _process.pool.warm_up()


def _examine(data_source: str, response: str, ground_truth: Any) -> _Case:
    started = time.monotonic()
    golds = accepted_answers(ground_truth)
    style = answer_style(data_source)
    answer = extract_answer(response, style)
    if answer is None:
        return _Case("", Outcome("no_answer", 0), {}, started)
    # Lone surrogates and NULs are valid in a str, but not in Arrow, UTF-8 files and C strings.
    extracted = answer[:_MAX_EXTRACTED_CHARS].encode("utf-8", "replace").decode().replace("\0", " ")
    status, undecided = _without_algebra(golds, answer, style)
    if status is None:
        return _Case(extracted, None, {"golds": undecided, "answer": answer}, started)
    return _Case(extracted, Outcome(status, 0), {}, started)


def _without_algebra(golds: list[str], answer: str, style: AnswerStyle) -> tuple[str | None, list[str]]:
    """(status, []), or (None, the accepted answers that only algebra can compare with this one)."""
    if len(answer) > MAX_ANSWER_CHARS:
        return "parse_error", []
    compare = {"numeral": grade_numeral, "choice": grade_choice}.get(style, grade)
    try:
        verdicts = [compare(gold, answer) for gold in golds]
    except Unreadable:
        return "parse_error", []
    if True in verdicts:
        return "correct", []
    undecided = [gold for gold, verdict in zip(golds, verdicts, strict=True) if verdict is None]
    return (None, undecided) if undecided else ("wrong", [])


def accepted_answers(ground_truth: Any) -> list[str]:
    """The accepted answers as text: one str, int or float, or a sequence of them (numpy's included)."""
    values = ground_truth.tolist() if hasattr(ground_truth, "tolist") else ground_truth
    if isinstance(values, (str, int, float)):
        values = [values]
    if isinstance(values, Sequence) and values and all(isinstance(value, (str, int, float)) for value in values):
        golds = [str(value).strip() for value in values]
        if all(golds):
            return golds
    raise ValueError(f"ground_truth must be a non-empty str, int, float or a list of them, got {ground_truth!r}")
