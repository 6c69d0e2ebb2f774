r"""The shape of an answer: what is a pair, an interval, a set, a list of answers, an equation, a word.

Parsers for algebra guess at these (`(1,2)` an interval or a point, `1,234` a number or two answers, `xy` a word or a
product); here each is decided once, by the rules in README.md. Input is the output of `reward.normalise.clean`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from reward.normalise import compact
from reward.numerals import parse_numeral
from reward.units import split_unit

Kind = Literal[
    "expression", "text", "opaque", "list", "set", "tuple", "interval", "union", "matrix", "assignment", "relation"
]
_MAX_DEPTH = 30
_MAX_ITEMS = 64


class Unreadable(Exception):
    """The answer's brackets do not balance or nest deeper than any answer does."""


@dataclass(frozen=True)
class Answer:
    r"""A parsed answer.

    text: `expression` the LaTeX; `text` its key; `opaque` the key of notation compared as written only; `interval` its
    brackets; `assignment` the name on the left; `relation` its operator (`=`, `<`, `\le`).
    parts: the items; for `assignment` the value; for `interval` and `relation` the two sides; for `matrix` the rows.
    """

    kind: Kind
    text: str = ""
    parts: tuple["Answer", ...] = ()
    unit: str = ""


_TOKEN = re.compile(
    r"\\begin\{\w+\*?\}|\\end\{\w+\*?\}|\\text\{[^{}]*\}|\\[a-zA-Z]+|\\.|<=|>=|!="
    r"|(?<![a-zA-Z])(?:or|and)(?![a-zA-Z])|.",
    re.DOTALL,
)
_OPENING = {"(", "[", "{", r"\{", r"\lfloor", r"\lceil", r"\langle"}
_CLOSING = {")", "]", "}", r"\}", r"\rfloor", r"\rceil", r"\rangle"}
_CONNECTIVE = re.compile(r"(?:\\text\{)?\s*,?\s*(or|and)\s*\}?")
_RELATIONS = {
    "=": "=", "<": "<", ">": ">", r"\le": r"\le", r"\ge": r"\ge", "<=": r"\le", ">=": r"\ge", r"\ne": r"\ne",
    "!=": r"\ne", r"\in": r"\in", r"\approx": r"\approx",
}  # fmt: skip
_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
_NAME = r"(?:[a-zA-Z]|\\(?:alpha|beta|gamma|theta|lambda|phi|mu|sigma|omega|Delta|rho|tau))(?:_(?:\w|\{[^{}]*\}))?'*"
_IDENTIFIER = re.compile(
    rf"{_NAME}(?:\({_NAME}(?:,{_NAME})*\))?|\({_NAME}(?:,{_NAME})+\)|(?:\\angle ?|\\triangle ?)?[A-Z]{{1,3}}"
    r"|\\(?:overline|text)\{[^{}]*\}|\|[A-Z]{2}\||m\\angle ?[A-Z]{1,3}"
)
_VARIABLE = re.compile(_NAME)
_MATRIX = re.compile(r"[\[(]?\\begin\{([pbB]?matrix|array)\}(?:\{[lcr| ]*\})?(.*)\\end\{\1\}[\])]?", re.DOTALL)
_WORDS = re.compile(r"[a-zA-Z][a-zA-Z ,'’-]*")
_SEVERAL_WORDS = re.compile(r"[, ](?:and|or)[, ]|,")
_SHORT_WORDS = {"no", "on", "up", "it", "or", "if"}
# Notation that the algebra parser drops, misreads or does not know: compared as written.
_OPAQUE = re.compile(
    r"'|!!|[+-]\s*[+-]|\\text|[%:?@#&\"`]|\\[lcvd]?dots|\d_|\\(?:p?mod|bmod|equiv|cong|sim|overline|underline|vec|hat|bar|widehat"
    r"|overrightarrow|perp|parallel|circ|triangle|angle|mid|forall|exists|to|Rightarrow|implies|iff|setminus|cap"
    r"|begin|operatorname|mathbb|mathcal|star|otimes|oplus|nmid|subset|cdots)(?![a-zA-Z])|\.\."
    r"|[^\x00-\x7f]|\\partial|\\frac\{d[^{}]*\}\{d"
)
_INTERNAL_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s*\^\{\\circ\}")
_GROUPED_NUMBER = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,]|\.\d*,)")


def parse(text: str, depth: int = 0) -> Answer:
    """The shape of a cleaned answer. Raises Unreadable."""
    if depth > _MAX_DEPTH:
        raise Unreadable(text)
    text = _unwrap(text.strip(" "))
    if parse_numeral(text) is not None:
        return Answer("expression", text)
    if (word := _word(text)) is not None:
        return word
    for reader in (_alternatives, _union, _items, _relation, _set, _matrix, _bracketed, _plus_minus):
        answer = reader(text, lambda part: parse(part, depth + 1))
        if answer is not None:
            return answer
    return _expression(text)


_Parse = Callable[[str], Answer]


def _tokens(text: str) -> Iterator[tuple[str, int, int]]:
    """(token, start, end) of everything outside brackets, brackets themselves excluded."""
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in _OPENING or token.startswith(r"\begin"):
            depth += 1
        elif token in _CLOSING or token.startswith(r"\end"):
            depth -= 1
            if depth < 0:
                raise Unreadable(text)
        elif depth == 0:
            yield token, match.start(), match.end()
    if depth:
        raise Unreadable(text)


def _split(text: str, is_separator: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """The parts between separators outside brackets, and the separators."""
    parts, separators, start = [], [], 0
    for token, token_start, token_end in _tokens(text):
        if is_separator(token):
            parts.append(text[start:token_start].strip())
            separators.append(token)
            start = token_end
    return [*parts, text[start:].strip()], separators


def _unwrap(text: str) -> str:
    """Without brackets or `\\text{}` around the whole: `(5)`, `{5}`, `\\text{5}`."""
    while True:
        if (match := re.fullmatch(r"\\text\{([^{}]*)\}", text)) is not None:
            inner = match[1].strip().rstrip(".")
            if len(inner) > 1 and _WORDS.fullmatch(inner) and not _SEVERAL_WORDS.search(inner):
                return text
        elif len(text) > 1 and text[0] + text[-1] in ("()", "{}") and _closes_at_end(text):
            inner = text[1:-1].strip()
            if any(token == "," for token, _, _ in _tokens(inner)):
                return text
        else:
            return text
        text = inner


def _closes_at_end(text: str) -> bool:
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        depth += token in _OPENING or token.startswith(r"\begin")
        depth -= token in _CLOSING or token.startswith(r"\end")
        if depth == 0:
            return match.end() == len(text)
    return False


def _word(text: str) -> Answer | None:
    r"""Plain words. One or two bare letters are variables; letters in `\text{}` are words."""
    wrapped = re.fullmatch(r"\\text\{([^{}]*)\}", text)
    words = wrapped[1].strip() if wrapped else text
    if not _WORDS.fullmatch(words):
        return None
    if not wrapped and not any(len(word) > 2 or word.lower() in _SHORT_WORDS for word in re.split(r"[ ,]", words)):
        return None
    if _SEVERAL_WORDS.search(words):
        return None
    key = re.sub(r"[^a-zA-Z]", "", words)
    return Answer("text", key.casefold() if len(key) > 3 or key.casefold() in ("yes", "no") else key)


def _alternatives(text: str, parse_part: _Parse) -> Answer | None:
    parts, separators = _split(text, lambda token: token == ";" or _CONNECTIVE.fullmatch(token) is not None)
    if not separators:
        return None
    answers = tuple(parse_part(part.strip(" ,")) for part in parts if part)
    if not answers:
        raise Unreadable(text)
    if any(answer.kind in ("interval", "union", "relation") for answer in answers):
        if any("and" in separator for separator in separators):
            return _opaque(text)
        if any("or" in separator for separator in separators):
            return Answer("union", parts=_flat(answers, "union"))
    return _list(answers, text)


def _union(text: str, parse_part: _Parse) -> Answer | None:
    parts, separators = _split(text, lambda token: token == r"\cup")
    if not separators:
        return None
    return Answer("union", parts=_flat(tuple(as_interval(parse_part(part)) for part in parts), "union"))


def _items(text: str, parse_part: _Parse) -> Answer | None:
    if text[:1] not in ("(", "[") and (ungrouped := _GROUPED_NUMBER.sub(_without_commas, text)) != text:
        return parse_part(ungrouped)
    parts, separators = _split(text, lambda token: token == ",")
    if not separators:
        return None
    if not all(parts):
        raise Unreadable(text)
    return _list(tuple(parse_part(part) for part in parts), text)


def _without_commas(number: re.Match[str]) -> str:
    return number.group().replace(",", "")


def _list(answers: tuple[Answer, ...], text: str) -> Answer:
    """Several answers. `x=1,2` and `x=1,x=2` are two values of x; `x=1,y=2` keeps its names."""
    answers = _flat(answers, "list")
    if len(answers) > _MAX_ITEMS:
        return _opaque(text)
    names = {answer.text for answer in answers if answer.kind == "assignment"}
    first_only = answers[0].kind == "assignment" and all(answer.kind != "assignment" for answer in answers[1:])
    if first_only or (len(names) == 1 and all(answer.kind == "assignment" for answer in answers)):
        answers = tuple(answer.parts[0] if answer.kind == "assignment" else answer for answer in answers)
    return Answer("list", parts=_flat(answers, "list"))


def _flat(answers: tuple[Answer, ...], kind: Kind) -> tuple[Answer, ...]:
    return tuple(part for answer in answers for part in (answer.parts if answer.kind == kind else (answer,)))


def _relation(text: str, parse_part: _Parse) -> Answer | None:
    sides, found = _split(text, lambda token: token in _RELATIONS)
    operators = [_RELATIONS[token] for token in found]
    if not operators:
        return None
    if r"\approx" in operators:  # the exact value stands before the rounded one
        exact = sides[: operators.index(r"\approx") + 1]
        return parse_part("=".join(exact) if exact != [""] else sides[1])
    if not sides[0] and operators == ["="]:
        return parse_part(sides[1])
    if not all(sides):
        raise Unreadable(text)
    if set(operators) == {"="}:
        return _equation(sides, text, parse_part)
    if operators == [r"\in"] and _VARIABLE.fullmatch(sides[0]):
        return as_interval(parse_part(sides[1]))
    if operators == [r"\ne"] and _VARIABLE.fullmatch(sides[0]):
        hole = parse_part(sides[1])
        return Answer("union", parts=(_interval("(", _INFINITY_LOW, hole, ")"), _interval("(", hole, _INFINITY, ")")))
    return _inequality(sides, operators, parse_part) or _opaque(text)


def _equation(sides: list[str], text: str, parse_part: _Parse) -> Answer:
    if _IDENTIFIER.fullmatch(compact(sides[0])):
        return Answer("assignment", compact(sides[0]), (parse_part(sides[-1]),))
    if len(sides) == 2 and _IDENTIFIER.fullmatch(compact(sides[1])):
        return Answer("assignment", compact(sides[1]), (parse_part(sides[0]),))
    if len(sides) > 2:
        return _opaque(text)
    return Answer("relation", "=", (parse_part(sides[0]), parse_part(sides[1])))


def _inequality(sides: list[str], operators: list[str], parse_part: _Parse) -> Answer | None:
    if not set(operators) <= set(_FLIPPED):
        return None
    if operators[0] in (">", r"\ge"):  # write every inequality from small to large
        sides, operators = sides[::-1], [_FLIPPED[operator] for operator in operators[::-1]]
    if not set(operators) <= {"<", r"\le"}:
        return None
    names = [_VARIABLE.fullmatch(side) is not None for side in sides]
    brackets = [("(", ")") if operator == "<" else ("[", "]") for operator in operators]
    if len(sides) == 3 and names == [False, True, False]:
        return _interval(brackets[0][0], parse_part(sides[0]), parse_part(sides[2]), brackets[1][1])
    if len(sides) != 2:
        return None
    small, large = (parse_part(side) for side in sides)
    if names == [True, False] and sides[0] not in sides[1]:
        return _interval("(", _INFINITY_LOW, large, brackets[0][1])
    if names == [False, True] and sides[1] not in sides[0]:
        return _interval(brackets[0][0], small, _INFINITY, ")")
    return Answer("relation", operators[0], (small, large))


def _set(text: str, parse_part: _Parse) -> Answer | None:
    if compact(text) in (r"\emptyset", r"\{\}"):
        return Answer("set")
    if not (text.startswith(r"\{") and text.endswith(r"\}") and _closes_at_end(text)):
        return None
    inside = text[2:-2].strip()
    parts, builders = _split(inside, lambda token: token in ("|", r"\mid", ":"))
    if len(builders) == 1:  # {x | condition}
        variable = re.sub(r"\\in ?\\mathbb\{R\}$", "", compact(parts[0]))
        return as_interval(parse_part(parts[1])) if _VARIABLE.fullmatch(variable) else _opaque(text)
    return _collection("set", text, inside, parse_part)


def _collection(kind: Kind, text: str, inside: str, parse_part: _Parse) -> Answer:
    parts, _ = _split(inside, lambda token: token in (",", ";"))
    if len(parts) > _MAX_ITEMS or not all(parts):
        return _opaque(text)
    answers = tuple(parse_part(part) for part in parts)
    if kind == "set":
        answers = _flat(answers, "list")
    return _opaque(text) if any(answer.kind == "list" for answer in answers) else Answer(kind, parts=answers)


def _matrix(text: str, parse_part: _Parse) -> Answer | None:
    match = _MATRIX.fullmatch(text)
    if match is None:
        return None
    rows = [row.strip() for row in re.split(r"\\\\(?:\[[^\]]*\])?", match[2])]
    cells = [row.split("&") for row in rows if row]
    if sum(len(row) for row in cells) > _MAX_ITEMS or any(r"\begin" in row for row in rows):
        return _opaque(text)
    return Answer("matrix", parts=tuple(Answer("tuple", parts=tuple(map(parse_part, row))) for row in cells))


def _bracketed(text: str, parse_part: _Parse) -> Answer | None:
    if not (text[:1] in ("(", "[") and text[-1:] in (")", "]") and _closes_at_end(text)):
        return None
    answer = _collection("tuple", text, text[1:-1], parse_part)
    brackets = text[0] + text[-1]
    if answer.kind == "tuple" and len(answer.parts) == 2 and brackets != "()":
        return _interval(brackets[0], *answer.parts, brackets[1])
    return answer if brackets == "()" or brackets == "[]" else _opaque(text)


def as_interval(answer: Answer) -> Answer:
    r"""Read a pair as the open interval it also denotes, and `\mathbb{R}` as the whole line."""
    if answer.kind == "tuple" and len(answer.parts) == 2:
        return _interval("(", *answer.parts, ")")
    if answer == _opaque(r"\mathbb{R}"):
        return _interval("(", _INFINITY_LOW, _INFINITY, ")")
    return answer


def _interval(opening: str, low: Answer, high: Answer, closing: str) -> Answer:
    opening = "(" if r"\infty" in low.text else opening
    closing = ")" if r"\infty" in high.text else closing
    high = replace(high, text=high.text.removeprefix("+")) if high.text.startswith(r"+\infty") else high
    return Answer("interval", opening + closing, (low, high))


def _plus_minus(text: str, parse_part: _Parse) -> Answer | None:
    parts = re.split(r"\\(pm|mp)(?![a-zA-Z])", text)
    if len(parts) == 1:
        return None
    if len(parts) > 3:
        return _opaque(text)
    return Answer("list", parts=tuple(parse_part(parts[0] + sign + parts[2]) for sign in "+-"))


def _expression(text: str) -> Answer:
    value, unit = split_unit(text)
    if unit:
        inner = parse(value, _MAX_DEPTH - 2)
        if inner.kind == "expression" and not inner.unit:
            return replace(inner, unit=unit)
        return _opaque(text)
    value = _INTERNAL_DEGREES.sub(r"(\1\\cdot\\frac{\\pi}{180})", value)
    if not value or _OPAQUE.search(value):
        return _opaque(text)
    list(_tokens(value))  # raises on unbalanced brackets
    return Answer("expression", value)


def _opaque(text: str) -> Answer:
    return Answer("opaque", compact(text))


_INFINITY = Answer("expression", r"\infty")
_INFINITY_LOW = Answer("expression", r"-\infty")
