"""Algebra on answers with math_verify and sympy. Imported in worker processes only: it is slow, and it may never return."""

import logging
from functools import lru_cache

from latex2sympy2_extended import latex2sympy
from math_verify import verify
from math_verify.grader import should_treat_as_complex

from reward.grading import grade

# math_verify's own limits use SIGALRM, which C code ignores; the pool's deadline replaces them.
logging.getLogger("math_verify").setLevel(logging.ERROR)


class ParseError(Exception):
    """An answer that latex2sympy does not understand."""


def grade_symbolically(golds: list[str], answer: str) -> str:
    """`correct`, `wrong` or `parse_error` for an answer that exact arithmetic could not decide."""
    try:
        return "correct" if any(grade(gold, answer, expressions_equal) for gold in golds) else "wrong"
    except ParseError:
        return "parse_error"


def expressions_equal(gold: str, answer: str) -> bool:
    return verify(_parse(gold), _parse(answer), timeout_seconds=None)


@lru_cache(maxsize=4096)
def _parse(latex: str):
    try:
        return latex2sympy(
            latex, is_real=not should_treat_as_complex(latex), convert_degrees=False, normalization_config=None
        )
    except MemoryError:
        raise
    except Exception as error:
        raise ParseError(latex) from error
