"""Is this answer the accepted one? Notation and exact arithmetic here; algebra is the caller's to supply."""

from collections.abc import Callable

from reward.normalise import clean, compact
from reward.numerals import evaluate, parse_numeral

ExpressionsEqual = Callable[[str, str], bool | None]


def grade(gold: str, answer: str, expressions_equal: ExpressionsEqual) -> bool | None:
    """Whether the answer equals the accepted one; None when `expressions_equal` was asked and did not know."""
    gold, answer = clean(gold), clean(answer)
    return numbers_equal(gold, answer) if not (gold and answer) else _equal(gold, answer, expressions_equal)


def grade_numeral(gold: str, answer: str) -> bool | None:
    """Whether the answer is a written number equal to the accepted one; None when it is no written number."""
    value = parse_numeral(clean(answer))
    return None if value is None else value == evaluate(clean(gold))


def numbers_equal(gold: str, answer: str) -> bool | None:
    if compact(gold) == compact(answer):
        return True
    gold_value, answer_value = evaluate(gold), evaluate(answer)
    return None if gold_value is None or answer_value is None else gold_value == answer_value


def _equal(gold: str, answer: str, expressions_equal: ExpressionsEqual) -> bool | None:
    known = numbers_equal(gold, answer)
    return expressions_equal(gold, answer) if known is None else known
