"""Finds the answer in a response: the last complete box and the boxes that belong to it, or a GSM8K line."""

import re
from itertools import pairwise
from typing import Literal, NamedTuple

MAX_ANSWER_CHARS = 1_000  # longer than any final answer; parsers take superlinear time

AnswerStyle = Literal["boxed", "numeral", "gsm8k", "choice"]

_BOX_TOKEN = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)
_MAX_GAP_CHARS = 80
_WORD = r"\b(?:and|or)\b|(?:for\s+)?(?:part\s+)?\([a-h\d]\):?"
_CONNECTIVES = re.compile(rf"(?:[\s$,;~]|\*\*|\\[,;:! ()\[\]\\]|\\q?quad|{_WORD}|\\text\{{(?:[\s,;]|{_WORD})*\}})*")
_OR = re.compile(r"\bor\b")
_GSM8K_LINE = re.compile(r"####[ \t]*([^\n]*)")
_STYLES: tuple[tuple[str, AnswerStyle], ...] = (
    ("vcore/arithmetic", "numeral"),
    ("vcore/laboratory", "numeral"),
    ("gsm8k", "gsm8k"),
    ("gpqa", "choice"),
    ("rbench", "choice"),
    ("r-bench", "choice"),
    ("mmlu", "choice"),
    ("aqua", "choice"),
)


def answer_style(data_source: str) -> AnswerStyle:
    """How answers of a data source are written; `boxed` unless its name contains one of the known names.

    `numeral` is `boxed` with an answer that must be a written number: if the task is arithmetic, `3+4` is the question,
    not the answer. (`gpqa` covers SuperGPQA.)
    """
    name = data_source.lower()
    return next((style for part, style in _STYLES if part in name), "boxed")


def extract_answer(response: str, style: AnswerStyle = "boxed") -> str | None:
    r"""The text of the final answer, or None if the response has none (or was cut off inside it).

    The content of the last box; or `\boxed{1}, \boxed{2}` verbatim, if only connectives separate the boxes.
    """
    begin = _answer_part(response)
    if style == "gsm8k":
        lines = _GSM8K_LINE.findall(response, begin)
        if lines:
            return lines[-1].strip() or None
    boxes = _boxes(response, begin)
    span = _content(response, boxes)
    if span is None:
        return None
    together = _last_together(response, boxes)
    if style == "numeral" or len(together) == 1 or together[-1].after - together[0].before > MAX_ANSWER_CHARS:
        return response[slice(*span)]
    return response[together[0].before : together[-1].after]


def answer_span(response: str) -> tuple[int, int] | None:
    """The characters [start, end) of the last boxed answer; None if `extract_answer` finds no box."""
    return last_box(response, _answer_part(response))


def last_box(text: str, begin: int = 0) -> tuple[int, int] | None:
    r"""The characters [start, end) of the stripped content of the last `\boxed{...}` after `begin`; of nested
    boxes, the outermost counts.

    None if there is no box, if the last one opened is never closed (the response was cut off inside it), or if it is
    empty. One pass over the text at any nesting depth.
    """
    return _content(text, _boxes(text, begin))


def unboxed(answer: str) -> tuple[str, list[str]]:
    r"""An answer without its boxes, and the content of each: (`1;2`, [`1`, `2`]) for `\boxed{1}, \boxed{2}`."""
    boxes = _last_together(answer, _boxes(answer)) if r"\boxed" in answer else []
    if not boxes or boxes[0].before > 0 or boxes[-1].after < len(answer):
        return answer, [answer]
    contents = [answer[box.start : box.end].strip() for box in boxes]
    if len(contents) == 1:
        return unboxed(contents[0])
    gaps = [answer[one.after : other.before] for one, other in pairwise(boxes)]
    separators = [r"\text{ or }" if _OR.search(gap) else ";" for gap in gaps]
    return "".join(map(str.__add__, contents, [*separators, ""])), contents


class _Box(NamedTuple):
    r"""`\boxed{...}` is the characters [before, after) of a text, its content [start, end)."""

    before: int
    start: int
    end: int

    @property
    def after(self) -> int:
        return self.end + 1


def _boxes(text: str, begin: int = 0) -> list[_Box]:
    """The complete, outermost boxes after `begin`; none if the last one opened is never closed."""
    open_braces: list[tuple[int, int] | None] = []  # (before, start) of a box, None for any other brace
    last_opened = last_closed = -1
    boxes: list[_Box] = []
    for token in _BOX_TOKEN.finditer(text, begin):
        found = token.group()
        if found == "}":
            opened = open_braces.pop() if open_braces else None
            if opened is not None:
                while boxes and boxes[-1].before > opened[0]:
                    boxes.pop()
                boxes.append(_Box(*opened, token.start()))
                last_closed = max(last_closed, opened[0])
        elif found == "{":
            open_braces.append(None)
        elif found.endswith("{") and found != r"\{":
            last_opened = token.start()
            open_braces.append((token.start(), token.end()))
    return boxes if last_closed == last_opened else []


def _content(text: str, boxes: list[_Box]) -> tuple[int, int] | None:
    content = text[boxes[-1].start : boxes[-1].end] if boxes else ""
    start = boxes[-1].end - len(content.lstrip()) if content.strip() else 0
    return (start, start + len(content.strip())) if content.strip() else None


def _last_together(text: str, boxes: list[_Box]) -> list[_Box]:
    """The last box, and the boxes before it that only connectives separate from it."""
    first = max(0, len(boxes) - 1)
    while first > 0:
        gap_start, gap_end = boxes[first - 1].after, boxes[first].before
        empty = not text[boxes[first - 1].start : boxes[first - 1].end].strip()
        if empty or gap_end - gap_start > _MAX_GAP_CHARS or not _CONNECTIVES.fullmatch(text, gap_start, gap_end):
            break
        first -= 1
    return boxes[first:]


def _answer_part(response: str) -> int:
    """Start of the text after the last `</think>`; the end of the response if the thinking was never closed."""
    before, closed, _ = response.rpartition("</think>")
    if closed:
        return len(before) + len(closed)
    return len(response) if "<think>" in response else 0
