"""Splits a cleaned answer outside its brackets."""

import re
from collections.abc import Callable, Iterator

from reward.mathematics.shape import Unreadable

_TOKEN = re.compile(
    r"\\begin\{\w+\*?\}|\\end\{\w+\*?\}|\\text\{[^{}]*\}|\\[a-zA-Z]+|\\.|<=|>=|!="
    r"|(?<![a-zA-Z])(?:or|and)(?![a-zA-Z])|.",
    re.DOTALL,
)
_OPENING = {"(", "[", "{", r"\{", r"\lfloor", r"\lceil", r"\langle"}
_CLOSING = {")", "]", "}", r"\}", r"\rfloor", r"\rceil", r"\rangle"}


def tokens(text: str) -> Iterator[tuple[str, int, int]]:
    """(token, start, end) of everything outside brackets, without the brackets. Raises Unreadable if unbalanced."""
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


def split(text: str, is_separator: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """The parts between separators outside brackets, and the separators."""
    parts, separators, start = [], [], 0
    for token, token_start, token_end in tokens(text):
        if is_separator(token):
            parts.append(text[start:token_start].strip())
            separators.append(token)
            start = token_end
    return [*parts, text[start:].strip()], separators


def closes_at_end(text: str) -> bool:
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        depth += token in _OPENING or token.startswith(r"\begin")
        depth -= token in _CLOSING or token.startswith(r"\end")
        if depth == 0:
            return match.end() == len(text)
    return False
