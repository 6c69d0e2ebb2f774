"""Problems as text, for finding duplicates."""

import re

_MARKUP = re.compile(r"\\[,;:! ]|\\left|\\right|[\s$~]+")


def question_key(problem: str) -> str:
    """The problem without differences of typesetting: case, whitespace, dollar signs, sizes of brackets and fractions.

    Operators and digits are kept: problems that differ by a sign are different.
    """
    text = problem.casefold().replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    return _MARKUP.sub("", text).rstrip(".?!")
