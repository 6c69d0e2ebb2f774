r"""The shape of an answer: a pair, an interval, a set, a list of answers, an equation, a word, ...

Algebra parsers guess (`(1,2)` an interval or a point, `1,234` a number or two answers, `xy` a word or a product); here
the rules in README.md decide. Input is the output of `reward.mathematics.normalise.clean`.
"""

import re
from dataclasses import replace

from reward.mathematics.normalise import compact
from reward.mathematics.numerals import parse_numeral
from reward.mathematics.relations import VARIABLE, as_interval, interval, read_relation
from reward.mathematics.shape import Answer, Kind, Parse, Unreadable, opaque
from reward.mathematics.tokens import closes_at_end, split, tokens
from reward.mathematics.units import split_unit

_MAX_DEPTH = 30
_MAX_ITEMS = 64
_CONNECTIVE = re.compile(r"(?:\\text\{)?\s*,?\s*(or|and)\s*\}?")
_MATRIX = re.compile(r"[\[(]?\\begin\{([pbB]?matrix|array)\}(?:\{[lcr| ]*\})?(.*)\\end\{\1\}[\])]?", re.DOTALL)
_WORDS = re.compile(r"[a-zA-Z][a-zA-Z ,'’-]*")
_SEVERAL_WORDS = re.compile(r"[, ](?:and|or)[, ]|,")
_SHORT_WORDS = {"no", "on", "up", "it", "or", "if"}
# Notation that the algebra parser drops, misreads or does not know: compared verbatim.
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
    for reader in (_alternatives, _union, _items, read_relation, _set, _matrix, _bracketed, _plus_minus):
        answer = reader(text, lambda part: parse(part, depth + 1))
        if answer is not None:
            return answer
    return _expression(text)


def _unwrap(text: str) -> str:
    """Remove brackets or `\\text{}` around the whole text: `(5)`, `{5}`, `\\text{5}`."""
    while True:
        if (match := re.fullmatch(r"\\text\{([^{}]*)\}", text)) is not None:
            inner = match[1].strip().rstrip(".")
            if len(inner) > 1 and _WORDS.fullmatch(inner) and not _SEVERAL_WORDS.search(inner):
                return text
        elif len(text) > 1 and text[0] + text[-1] in ("()", "{}") and closes_at_end(text):
            inner = text[1:-1].strip()
            if any(token in (",", ";") for token, _, _ in tokens(inner)):
                return text
        else:
            return text
        text = inner


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


def _alternatives(text: str, parse_part: Parse) -> Answer | None:
    parts, separators = split(text, lambda token: token == ";" or _CONNECTIVE.fullmatch(token) is not None)
    if not separators:
        return None
    answers = tuple(parse_part(part.strip(" ,")) for part in parts if part)
    if not answers:
        raise Unreadable(text)
    if all(answer.named for answer in answers) and len({_names(answer) for answer in answers}) == 1:
        answers = tuple(replace(answer, kind="tuple") for answer in answers)  # `p=5,q=2; p=7,q=2` are two pairs
    if any(answer.kind in ("interval", "union", "relation") for answer in answers):
        if any("and" in separator for separator in separators):
            return opaque(text)
        if any("or" in separator for separator in separators):
            return Answer("union", parts=_flat(answers, "union"))
    return _list(answers, text)


def _names(answer: Answer) -> frozenset[str]:
    return frozenset(part.text for part in answer.parts)


def _union(text: str, parse_part: Parse) -> Answer | None:
    parts, separators = split(text, lambda token: token == r"\cup")
    if not separators:
        return None
    return Answer("union", parts=_flat(tuple(as_interval(parse_part(part)) for part in parts), "union"))


def _items(text: str, parse_part: Parse) -> Answer | None:
    if text[:1] not in ("(", "[") and (ungrouped := _GROUPED_NUMBER.sub(_without_commas, text)) != text:
        return parse_part(ungrouped)
    parts, separators = split(text, lambda token: token == ",")
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
        return opaque(text)
    names = {answer.text for answer in answers if answer.kind == "assignment"}
    first_only = answers[0].kind == "assignment" and all(answer.kind != "assignment" for answer in answers[1:])
    if first_only or (len(names) == 1 and all(answer.kind == "assignment" for answer in answers)):
        answers = tuple(answer.parts[0] if answer.kind == "assignment" else answer for answer in answers)
    return Answer("list", parts=_flat(answers, "list"))


def _flat(answers: tuple[Answer, ...], kind: Kind) -> tuple[Answer, ...]:
    return tuple(part for answer in answers for part in (answer.parts if answer.kind == kind else (answer,)))


def _set(text: str, parse_part: Parse) -> Answer | None:
    if compact(text) in (r"\emptyset", r"\{\}"):
        return Answer("set")
    braces = len(r"\{") if text.startswith(r"\{") else len("{")  # plain text has bare braces
    if not (text[:braces].endswith("{") and text.endswith("}") and closes_at_end(text)):
        return None
    inside = text[braces:-braces].strip()
    parts, builders = split(inside, lambda token: token in ("|", r"\mid", ":"))
    if len(builders) == 1:  # {x | condition}
        variable = re.sub(r"\\in ?\\mathbb\{R\}$", "", compact(parts[0]))
        return as_interval(parse_part(parts[1])) if VARIABLE.fullmatch(variable) else opaque(text)
    return _collection("set", text, inside, parse_part)


def _collection(kind: Kind, text: str, inside: str, parse_part: Parse) -> Answer:
    parts, _ = split(inside, lambda token: token in (",", ";"))
    if len(parts) > _MAX_ITEMS or not all(parts):
        return opaque(text)
    answers = tuple(parse_part(part) for part in parts)
    if kind == "set":
        answers = _flat(answers, "list")
    return opaque(text) if any(answer.kind == "list" for answer in answers) else Answer(kind, parts=answers)


def _matrix(text: str, parse_part: Parse) -> Answer | None:
    match = _MATRIX.fullmatch(text)
    if match is None:
        return None
    rows = [row.strip() for row in re.split(r"\\\\(?:\[[^\]]*\])?", match[2])]
    cells = [row.split("&") for row in rows if row]
    if sum(len(row) for row in cells) > _MAX_ITEMS or any(r"\begin" in row for row in rows):
        return opaque(text)
    return Answer("matrix", parts=tuple(Answer("tuple", parts=tuple(map(parse_part, row))) for row in cells))


def _bracketed(text: str, parse_part: Parse) -> Answer | None:
    if not (text[:1] in ("(", "[") and text[-1:] in (")", "]") and closes_at_end(text)):
        return None
    answer = _collection("tuple", text, text[1:-1], parse_part)
    brackets = text[0] + text[-1]
    if answer.kind == "tuple" and len(answer.parts) == 2 and brackets != "()":
        return interval(brackets[0], *answer.parts, brackets[1])
    return answer if brackets == "()" or brackets == "[]" else opaque(text)


def _plus_minus(text: str, parse_part: Parse) -> Answer | None:
    parts = re.split(r"\\(pm|mp)(?![a-zA-Z])", text)
    if len(parts) == 1:
        return None
    if len(parts) > 3:
        return opaque(text)
    return Answer("list", parts=tuple(parse_part(parts[0] + sign + parts[2]) for sign in "+-"))


def _expression(text: str) -> Answer:
    value, unit = split_unit(text)
    if unit:
        inner = parse(value, _MAX_DEPTH - 2)
        if inner.kind == "expression" and not inner.unit:
            return replace(inner, unit=unit)
        return opaque(text)
    value = _INTERNAL_DEGREES.sub(r"(\1\\cdot\\frac{\\pi}{180})", value)
    if not value or _OPAQUE.search(value):
        return opaque(text)
    list(tokens(value))  # raises on unbalanced brackets
    return Answer("expression", value)
