"""From a response to a score: extract, compare exactly, and only then ask a worker process."""

import os
import threading
from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from reward.extraction import answer_style, extract_answer
from reward.grading import NoAlgebra, grade, grade_numeral
from reward.pool import Outcome, WorkerPool
from reward.structure import Unreadable

Status = Literal["correct", "wrong", "no_answer", "parse_error", "timeout"]
STATUSES: tuple[Status, ...] = ("correct", "wrong", "no_answer", "parse_error", "timeout")

_MAX_ANSWER_CHARS = 2_000  # no final answer is longer; parsers are superlinear
_MAX_EXTRACTED_CHARS = 200
_DEADLINE_S = 5.0

_pool: WorkerPool | None = None
_pool_lock = threading.Lock()


class Score(TypedDict):
    score: float
    acc: float
    status: str
    extracted: str


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: dict | None = None,
    *,
    deadline_s: float = _DEADLINE_S,
) -> Score:
    outcome, extracted = judge(data_source, solution_str, ground_truth, deadline_s)
    correct = float(outcome.status == "correct")
    return {"score": correct, "acc": correct, "status": outcome.status, "extracted": extracted}


def judge(data_source: str, response: str, ground_truth: Any, deadline_s: float) -> tuple[Outcome, str]:
    golds = accepted_answers(ground_truth)
    style = answer_style(data_source)
    answer = extract_answer(response, style)
    if answer is None:
        return Outcome("no_answer", 0), ""
    shown = answer[:_MAX_EXTRACTED_CHARS].encode("utf-8", "replace").decode()
    if len(answer) > _MAX_ANSWER_CHARS:
        return Outcome("parse_error", 0), shown
    if style == "numeral":
        verdicts = [grade_numeral(gold, answer) for gold in golds]
        return Outcome("parse_error" if None in verdicts else "correct" if any(verdicts) else "wrong", 0), shown
    try:
        verdicts = [grade(gold, answer, NoAlgebra()) for gold in golds]
    except Unreadable:
        return Outcome("parse_error", 0), shown
    if any(verdicts):
        return Outcome("correct", 0), shown
    undecided = [gold for gold, verdict in zip(golds, verdicts, strict=True) if verdict is None]
    if not undecided:
        return Outcome("wrong", 0), shown
    return shared_pool().ask({"golds": undecided, "answer": answer}, deadline_s), shown


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


def shared_pool() -> WorkerPool:
    """The process's own pool, made on first use."""
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = WorkerPool(size=min(4, os.cpu_count() or 1))
        return _pool


def _forget_pool() -> None:
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_pool)
