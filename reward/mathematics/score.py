"""From a response to a score: extract, compare exactly, and only if undecided ask a worker process."""

import asyncio
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from reward.domain import Options, Scored
from reward.mathematics.extraction import MAX_ANSWER_CHARS, AnswerStyle, answer_style, extract_answer
from reward.mathematics.grading import grade, grade_choice, grade_numeral
from reward.mathematics.pool import Outcome, WorkerPool
from reward.mathematics.shape import Unreadable

PLAIN_DEADLINE_S = 10.0  # math_verify's own limits for one parse and one comparison

_MAX_EXTRACTED_CHARS = 200


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


def plain_score(response: str, ground_truth: Any) -> float:
    """1.0 where plain math_verify accepts a whole response, see `plain.py`; a time-out is 0.0, as in verl."""
    question = {"golds": accepted_answers(ground_truth), "response": response}
    return float(_process.pool.ask(question, PLAIN_DEADLINE_S).status == "correct")


def score_response(data_source: str, response: str, ground_truth: Any, options: Options) -> Scored:
    """The verdict on a response. Raises ValueError for a ground truth that is empty or of another type."""
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
