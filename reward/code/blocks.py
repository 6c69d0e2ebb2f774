"""Finds the program in a response: the last closed fenced block after the thinking."""

import re
from typing import Literal, NamedTuple

Language = Literal["python", "cpp"]

MAX_PROGRAM_BYTES = 64 * 1024  # as judges allow; counted in UTF-8

# The first word after the backquotes, in lower case, that names a language.
_LABELS: dict[Language, frozenset[str]] = {
    "python": frozenset({"python", "python3", "py", "py3", "pypy", "pypy3"}),
    "cpp": frozenset(
        {"cpp", "c++", "cc", "cxx", "c++17", "cpp17", "c++20", "cpp20", "c++14", "cpp14", "c++11", "cpp11"}
    ),
}
_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<ticks>`{3,})[ \t]*(?P<label>[^`\n]*?)[ \t\r]*$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block.

    source: its text, without the indentation of its fence. language: its label as written, "" if it has none.
    span: the characters [start, end) of the text between the fences in the response.
    """

    source: str
    language: str
    span: tuple[int, int]


def program_block(response: str, language: Language | None = None) -> Block | None:
    """The last closed fenced block after the last `</think>`; None if there is none.

    A block that is labelled as something other than `language` (sample output, a shell command) counts only where no
    block has that language's label or none. A response whose thinking was never closed has no program.
    """
    blocks = _closed_blocks(response, _answer_start(response))
    if language is not None:
        accepted = _LABELS[language] | {""}
        blocks = [block for block in blocks if _first_word(block.language) in accepted] or blocks
    return blocks[-1] if blocks else None


def program_span(response: str) -> tuple[int, int] | None:
    """The characters [start, end) of the last program after the thinking, in whatever language."""
    block = program_block(response)
    return block.span if block else None


def _answer_start(response: str) -> int:
    before, closed, _ = response.rpartition("</think>")
    if closed:
        return len(before) + len(closed)
    return len(response) if "<think>" in response else 0


def _closed_blocks(response: str, start: int) -> list[Block]:
    """A fence without a label closes the block that a fence of at most its length opened. One with a label opens a
    block, also where the previous one was never closed, as after a draft that was broken off; but inside a longer fence
    it is text, as in Markdown."""
    blocks: list[Block] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(response, start):
        if opened is not None and len(fence["ticks"]) < len(opened["ticks"]):
            continue
        if opened is None or fence["label"]:
            opened = fence
            continue
        span = (min(opened.end() + 1, fence.start()), fence.start())
        source = response[slice(*span)]
        if opened["indent"]:
            source = re.sub(f"^{opened['indent']}", "", source, flags=re.MULTILINE)
        blocks.append(Block(source, opened["label"], span))
        opened = None
    return blocks


def _first_word(label: str) -> str:
    return label.lower().partition(" ")[0].strip("{}.")
