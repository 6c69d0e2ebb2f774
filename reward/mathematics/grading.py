"""Compares an answer with the accepted one by shape, notation and exact arithmetic; the caller supplies algebra.

Verdicts have three values: True, False, and None for "needs algebra".
"""

import re
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

from reward.mathematics.extraction import unboxed
from reward.mathematics.normalise import clean, compact
from reward.mathematics.numerals import evaluate, parse_numeral
from reward.mathematics.relations import as_interval
from reward.mathematics.shape import Answer, Unreadable
from reward.mathematics.structure import parse
from reward.mathematics.units import units_agree

Verdict = bool | None


class Algebra(Protocol):
    """Questions about LaTeX expressions that exact arithmetic cannot decide."""

    def equal(self, gold: str, answer: str) -> Verdict:
        """Whether two expressions are equal."""

    def proportional(self, gold: str, answer: str, positive: bool) -> Verdict:
        """Whether answer = c gold for a constant c != 0 (c > 0)."""


class NoAlgebra:
    """Decides nothing: undecided answers go to a worker process."""

    def equal(self, gold: str, answer: str) -> Verdict:
        return None

    def proportional(self, gold: str, answer: str, positive: bool) -> Verdict:
        return None


_NO_ALGEBRA = NoAlgebra()


def grade(gold: str, answer: str, algebra: Algebra = _NO_ALGEBRA) -> Verdict:
    """Whether the answer equals the accepted one. Raises `reward.mathematics.structure.Unreadable`.

    Several boxes are either one answer together, or the same answer repeated.
    """
    gold, _ = unboxed(gold)
    together, boxes = unboxed(answer)
    verdict = _grade(gold, together, algebra)
    if verdict or len(boxes) == 1:
        return verdict
    return _any(verdict, _all(*(_grade(gold, box, algebra) for box in boxes)))


def _grade(gold: str, answer: str, algebra: Algebra) -> Verdict:
    gold, answer = clean(gold), clean(answer)
    if gold and compact(gold) == compact(answer):
        return True
    return _same(parse(gold), parse(answer), algebra)


def grade_numeral(gold: str, answer: str) -> bool:
    """Whether the answer is a written number equal to the accepted one. Raises Unreadable if it is something else."""
    value = parse_numeral(clean(answer))
    if value is None:
        raise Unreadable(answer)
    return value == evaluate(clean(gold))


def same_answer(answer: str, other: str) -> bool:
    """Whether two answers are equal by notation and exact arithmetic, without algebra, which may take seconds a pair.

    Unreadable answers, and those whose equality only algebra could show, count as different.
    """
    try:
        return bool(grade(answer, other))
    except Unreadable:
        return False


def grade_choice(gold: str, answer: str) -> bool:
    """Whether the answer names the accepted option. Raises Unreadable if it names none, or several."""
    return {_option(gold)} == {_option(box) for box in unboxed(answer)[1]}


def _option(answer: str) -> str:
    """The letter of `B`, `(b)`, `\\text{B.}`, `B) 12` or `\\textbf{(B) } 12`."""
    text = re.sub(r"\\text|[{}]", " ", clean(answer)).strip()
    match = re.fullmatch(r"\(?\s*([A-Za-z])\s*(?:\)\s*[.:]?.*|[.:].*)?", text, re.DOTALL)
    if match is None:
        raise Unreadable(answer)
    return match[1].upper()


def _same(gold: Answer, answer: Answer, algebra: Algebra) -> Verdict:
    if gold.kind == "assignment" or answer.kind == "assignment":
        return _same_assignment(gold, answer, algebra)
    if {gold.kind, answer.kind} <= {"list", "tuple"} and (gold.named or answer.named):
        return _same_named(gold, answer, algebra)
    if {gold.kind, answer.kind} == {"interval", "tuple"} or "opaque" in (gold.kind, answer.kind):
        gold, answer = as_interval(gold), as_interval(answer)
    gold, answer = _alone(gold), _alone(answer)
    if {gold.kind, answer.kind} == {"set", "list"}:
        gold, answer = replace(gold, kind="set"), replace(answer, kind="set")
    if gold.kind != answer.kind:
        return False
    match gold.kind:
        case "expression":
            return _same_value(gold, answer, algebra)
        case "text" | "opaque":
            return gold.text == answer.text
        case "set":
            return _all(_included(gold, answer, algebra), _included(answer, gold, algebra))
        case "list" | "union":
            return _same_in_any_order(gold.parts, answer.parts, algebra)
        case "relation":
            return _same_relation(gold, answer, algebra)
        case _:  # interval, tuple, matrix: brackets and every part in its place
            if gold.text != answer.text:
                return False
            return _same_in_order(gold.parts, answer.parts, algebra)


def _alone(answer: Answer) -> Answer:
    """A set with one solution becomes that solution."""
    only = answer.parts[0] if answer.kind == "set" and len(answer.parts) == 1 else answer
    return answer if only.kind == "set" else only


def _same_assignment(gold: Answer, answer: Answer, algebra: Algebra) -> Verdict:
    if gold.kind == answer.kind and gold.text == answer.text:
        return _same(gold.parts[0], answer.parts[0], algebra)
    if answer.kind in ("assignment", "relation") and gold.kind in ("assignment", "relation"):
        return _same_relation(_as_relation(gold), _as_relation(answer), algebra)
    if gold.kind == "assignment":
        return _same(gold.parts[0], answer, algebra)
    return _same(gold, answer.parts[0], algebra)


def _same_named(gold: Answer, answer: Answer, algebra: Algebra) -> Verdict:
    """Compare several named values by name, or by position if the other side has no names."""
    if gold.named and answer.named:
        return _same_in_any_order(gold.parts, answer.parts, algebra)
    return _same_in_order(gold.parts, answer.parts, algebra)


def _as_relation(answer: Answer) -> Answer:
    if answer.kind == "relation":
        return answer
    return Answer("relation", "=", (Answer("expression", answer.text), answer.parts[0]))


def _same_relation(gold: Answer, answer: Answer, algebra: Algebra) -> Verdict:
    sides = (*gold.parts, *answer.parts)
    if gold.text != answer.text or any(side.kind != "expression" or side.unit for side in sides):
        return False
    if any("'" in side.text or ":" in side.text or r"\text" in side.text for side in sides):
        return False
    small, large = (f"({relation.parts[0].text})-({relation.parts[1].text})" for relation in (gold, answer))
    return algebra.proportional(small, large, positive=gold.text != "=")


def _same_value(gold: Answer, answer: Answer, algebra: Algebra) -> Verdict:
    if "%" in (gold.unit, answer.unit) and gold.unit != answer.unit:
        if gold.unit and answer.unit:
            return False
        # 50% is 50 of the unit "percent", and it is the number 0.5.
        bare, percent = (answer, gold) if gold.unit else (gold, answer)
        as_number = rf"\frac{{{percent.text}}}{{100}}"
        return _any(
            _equal_expressions(bare.text, percent.text, algebra), _equal_expressions(bare.text, as_number, algebra)
        )
    if not units_agree(gold.unit, answer.unit):
        return False
    return _equal_expressions(gold.text, answer.text, algebra)


def _equal_expressions(gold: str, answer: str, algebra: Algebra) -> Verdict:
    if compact(gold) == compact(answer):
        return True
    gold_value, answer_value = evaluate(gold), evaluate(answer)
    if gold_value is not None and answer_value is not None:
        return gold_value == answer_value
    if _is_variable(gold, answer_value) or _is_variable(answer, gold_value):
        return False
    return algebra.equal(gold, answer)


def _is_variable(text: str, other_value: Fraction | None) -> bool:
    """Whether a single letter is compared with a number."""
    return other_value is not None and len(text) == 1 and text.isalpha()


def _included(smaller: Answer, larger: Answer, algebra: Algebra) -> Verdict:
    return _all(*(_any(*(_same(item, other, algebra) for other in larger.parts)) for item in smaller.parts))


def _same_in_order(golds: tuple[Answer, ...], answers: tuple[Answer, ...], algebra: Algebra) -> Verdict:
    if len(golds) != len(answers):
        return False
    return _all(*(_same(*pair, algebra) for pair in zip(golds, answers, strict=True)))


def _same_in_any_order(golds: tuple[Answer, ...], answers: tuple[Answer, ...], algebra: Algebra) -> Verdict:
    if len(golds) != len(answers):
        return False
    remaining = list(answers)
    verdict: Verdict = True
    for gold in golds:
        # Named values only match named values: `x=1, y=2` is not `1, 2`.
        verdicts = [
            False if (gold.kind == "assignment") != (other.kind == "assignment") else _same(gold, other, algebra)
            for other in remaining
        ]
        if True in verdicts:
            del remaining[verdicts.index(True)]
        elif None in verdicts:
            verdict = None
        else:
            return False
    return verdict


def _all(*verdicts: Verdict) -> Verdict:
    return False if False in verdicts else None if None in verdicts else True


def _any(*verdicts: Verdict) -> Verdict:
    return True if True in verdicts else None if None in verdicts else False
