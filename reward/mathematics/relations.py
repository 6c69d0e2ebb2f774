r"""Equations, inequalities and the intervals they denote."""

import re
from dataclasses import replace

from reward.mathematics.normalise import compact
from reward.mathematics.numerals import evaluate
from reward.mathematics.shape import Answer, Parse, Unreadable, opaque
from reward.mathematics.tokens import split

_RELATIONS = {
    "=": "=", "<": "<", ">": ">", r"\le": r"\le", r"\ge": r"\ge", "<=": r"\le", ">=": r"\ge", r"\ne": r"\ne",
    "!=": r"\ne", r"\in": r"\in", r"\approx": r"\approx",
}  # fmt: skip
_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
_NAME = r"(?:[a-zA-Z]|\\(?:alpha|beta|gamma|theta|lambda|phi|mu|sigma|omega|Delta|rho|tau))(?:_(?:\w|\{[^{}]*\}))?'*"
_SINGLE = (
    rf"{_NAME}(?:\({_NAME}(?:,{_NAME})*\))?|\({_NAME}(?:,{_NAME})+\)|(?:\\angle ?|\\triangle ?)?[A-Z]{{1,3}}"
    r"|\\(?:overline|text)\{[^{}]*\}|\|[A-Z]{2}\||m\\angle ?[A-Z]{1,3}"
)
_IDENTIFIER = re.compile(_SINGLE)
_RATIO = re.compile(rf"(?:{_SINGLE})(?:[:/](?:{_SINGLE}))+|\\frac\{{(?:{_SINGLE})\}}\{{(?:{_SINGLE})\}}")
_NOT_CONSTANT = re.compile(r"(?<![a-zA-Z\\])[a-zA-Z]")
_SYMBOLS_OF_NUMBERS = {"e", "i", r"\phi"}
_SCALED = re.compile(rf"([+-]?)(.*?)(?:\\cdot ?|\*)?({_NAME})")
VARIABLE = re.compile(_NAME)
_INFINITY = Answer("expression", r"\infty")
_INFINITY_LOW = Answer("expression", r"-\infty")


def read_relation(text: str, parse_part: Parse) -> Answer | None:
    sides, found = split(text, lambda token: token in _RELATIONS)
    operators = [_RELATIONS[token] for token in found]
    if not operators:
        return None
    if r"\approx" in operators:  # the exact value precedes the rounded one
        exact = sides[: operators.index(r"\approx") + 1]
        if len(exact) == 1 and exact[0] not in _SYMBOLS_OF_NUMBERS and _IDENTIFIER.fullmatch(compact(exact[0])):
            return _equation([*exact, sides[1]], text, parse_part)  # the left side is a name, not an exact value
        return parse_part("=".join(exact) if exact != [""] else sides[1])
    if not sides[0] and operators == ["="]:
        return parse_part(sides[1])
    if not all(sides):
        raise Unreadable(text)
    if set(operators) == {"="}:
        return _equation(sides, text, parse_part)
    if operators == [r"\in"] and VARIABLE.fullmatch(sides[0]):
        return as_interval(parse_part(sides[1]))
    if operators == [r"\ne"] and VARIABLE.fullmatch(sides[0]):
        hole = parse_part(sides[1])
        return Answer("union", parts=(interval("(", _INFINITY_LOW, hole, ")"), interval("(", hole, _INFINITY, ")")))
    return _inequality(sides, operators, parse_part) or opaque(text)


def _equation(sides: list[str], text: str, parse_part: Parse) -> Answer:
    name, value = compact(sides[0]), sides[-1]
    if _IDENTIFIER.fullmatch(name) or (_RATIO.fullmatch(name) and not _NOT_CONSTANT.search(value)):
        return _assignment(name, parse_part(value))
    if len(sides) == 2 and _IDENTIFIER.fullmatch(compact(sides[1])):
        return Answer("assignment", compact(sides[1]), (parse_part(sides[0]),))
    if len(sides) > 2:
        return opaque(text)
    return Answer("relation", "=", (parse_part(sides[0]), parse_part(sides[1])))


def _assignment(name: str, value: Answer) -> Answer:
    names = name[1:-1].split(",")
    if name.startswith("(") and value.kind == "tuple" and len(value.parts) == len(names):
        pairs = zip(names, value.parts, strict=True)
        return Answer("tuple", parts=tuple(Answer("assignment", name, (part,)) for name, part in pairs))
    return Answer("assignment", name, (value,))


def _inequality(sides: list[str], operators: list[str], parse_part: Parse) -> Answer | None:
    if not set(operators) <= set(_FLIPPED):
        return None
    if operators[0] in (">", r"\ge"):  # write every inequality from small to large
        sides, operators = sides[::-1], [_FLIPPED[operator] for operator in operators[::-1]]
    if not set(operators) <= {"<", r"\le"}:
        return None
    sides, operators = _unscaled(sides, operators)
    names = [VARIABLE.fullmatch(side) is not None for side in sides]
    brackets = [("(", ")") if operator == "<" else ("[", "]") for operator in operators]
    if len(sides) == 3 and names == [False, True, False]:
        return interval(brackets[0][0], parse_part(sides[0]), parse_part(sides[2]), brackets[1][1])
    if len(sides) != 2:
        return None
    small, large = (parse_part(side) for side in sides)
    if names == [True, False] and sides[0] not in sides[1]:
        return interval("(", _INFINITY_LOW, large, brackets[0][1])
    if names == [False, True] and sides[1] not in sides[0]:
        return interval(brackets[0][0], small, _INFINITY, ")")
    return Answer("relation", operators[0], (small, large))


def _unscaled(sides: list[str], operators: list[str]) -> tuple[list[str], list[str]]:
    """`-1 < -2x` as `x < 1/2`: divided by the variable's factor, and flipped if that is negative."""
    for index, side in enumerate(sides):
        match = _SCALED.fullmatch(side)
        factor = match and evaluate(f"{match[1]}{match[2] or 1}")
        others = sides[:index] + sides[index + 1 :]
        if match and factor and factor != 1 and not any(match[3] in other for other in others):
            sides = [rf"\frac{{{other}}}{{{factor}}}" if other != side else match[3] for other in sides]
            return (sides, operators) if factor > 0 else (sides[::-1], operators[::-1])
    return sides, operators


def as_interval(answer: Answer) -> Answer:
    r"""Read a pair as an open interval, and `\mathbb{R}` as the whole real line."""
    if answer.kind == "tuple" and len(answer.parts) == 2:
        return interval("(", *answer.parts, ")")
    if answer == opaque(r"\mathbb{R}"):
        return interval("(", _INFINITY_LOW, _INFINITY, ")")
    return answer


def interval(opening: str, low: Answer, high: Answer, closing: str) -> Answer:
    opening = "(" if r"\infty" in low.text else opening
    closing = ")" if r"\infty" in high.text else closing
    high = replace(high, text=high.text.removeprefix("+")) if high.text.startswith(r"+\infty") else high
    return Answer("interval", opening + closing, (low, high))
