"""Where the answer stands in a response: the last complete box, a GSM8K line, nothing else."""

import re
from typing import Literal

AnswerStyle = Literal["boxed", "numeral", "gsm8k", "choice"]

_BOX_TOKEN = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)
_GSM8K_LINE = re.compile(r"####[ \t]*([^\n]*)")
_STYLES: tuple[tuple[str, AnswerStyle], ...] = (
    ("vcore/arithmetic", "numeral"),
    ("gsm8k", "gsm8k"),
    ("gpqa", "choice"),
    ("rbench", "choice"),
    ("r-bench", "choice"),
    ("mmlu", "choice"),
    ("aqua", "choice"),
)


def answer_style(data_source: str) -> AnswerStyle:
    """How answers of a data source are written; `boxed` unless its name contains one of the known names.

    `numeral` is `boxed` with an answer that must be a written number: where the task is to compute, `3+4` is the
    question and not the answer. (`gpqa` covers SuperGPQA.)
    """
    name = data_source.lower()
    return next((style for part, style in _STYLES if part in name), "boxed")


def extract_answer(response: str, style: AnswerStyle = "boxed") -> str | None:
    """The text of the final answer, or None when the response has none (or was cut off while writing it)."""
    if style == "gsm8k":
        lines = _GSM8K_LINE.findall(response, _answer_part(response))
        if lines:
            return lines[-1].strip() or None
    span = answer_span(response)
    return response[slice(*span)] if span else None


def answer_span(response: str) -> tuple[int, int] | None:
    """The characters [start, end) of the boxed answer; None where `extract_answer` finds none."""
    return last_box(response, _answer_part(response))


def last_box(text: str, begin: int = 0) -> tuple[int, int] | None:
    r"""The characters [start, end) of the content, spaces around it left out, of the last `\boxed{...}` after `begin`;
    the outermost one where boxes are nested.

    None when there is no box, when the last one opened is never closed (the response was cut off inside it) or when
    it is empty. One pass over the text, whatever its nesting.
    """
    open_braces: list[int | None] = []  # start of the content for a box, None for any other brace
    last_opened = last_closed = -1
    span: tuple[int, int] | None = None
    for token in _BOX_TOKEN.finditer(text, begin):
        found = token.group()
        if found == "}":
            start = open_braces.pop() if open_braces else None
            if start is not None:
                span, last_closed = (start, token.start()), max(last_closed, start)
        elif found == "{":
            open_braces.append(None)
        elif found.endswith("{") and found != r"\{":
            last_opened = token.end()
            open_braces.append(last_opened)
    if span is None or last_closed < last_opened:
        return None
    content = text[slice(*span)]
    start = span[1] - len(content.lstrip())
    return (start, start + len(content.strip())) if content.strip() else None


def _answer_part(response: str) -> int:
    """Where what follows the last `</think>` begins; the response's end when the thinking was never closed."""
    before, closed, _ = response.rpartition("</think>")
    if closed:
        return len(before) + len(closed)
    return len(response) if "<think>" in response else 0
