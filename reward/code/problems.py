"""Statements of programming problems as text, for finding duplicates and contamination."""

import re

from reward.domain import OVERLAP_WORDS

_HEADING = re.compile(
    r"""^(?:[^\w\n]|_)*
    (?:(?:sample|the|standard)\s+)?
    (?:inputs?|outputs?|constraints?|examples?|samples?|notes?|limits|subtasks?|输入格式|输出格式|样例输入|数据范围)
    (?:\s*(?:format|specification|description|file|data|section|cases?|and\s+outputs?))?
    (?:\s*\#?\d+)?
    (?:[^\w\n]|_)*?
    (?:$|:.*$)""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_WORD = re.compile(r"\w+")
_TYPESETTING = re.compile(r"[\s$~]+")


def narrative(statement: str) -> str:
    """The statement up to the first heading of its input, output, constraints or examples.

    All of it if fewer than thirteen words come before: the rule that compares thirteen in a row would see nothing.
    """
    heading = _HEADING.search(statement)
    told = statement[: heading.start()] if heading else statement
    return told if len(_WORD.findall(told)) >= OVERLAP_WORDS else statement


def question_key(statement: str) -> str:
    """The statement without case, white space and dollar signs: statements with equal keys are one problem."""
    return _TYPESETTING.sub("", statement.casefold())
