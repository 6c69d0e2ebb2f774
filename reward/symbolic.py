"""Algebra with math_verify and sympy. For worker processes only: the import is slow, and a call may never return."""

import logging
import re
from functools import lru_cache

from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy
from math_verify import verify
from sympy import Expr, I, Rational, simplify
from sympy.core.numbers import Number

from reward.grading import grade
from reward.structure import Unreadable

# math_verify's own limits use SIGALRM, which C code ignores; the pool's deadline replaces them.
logging.getLogger("math_verify").setLevel(logging.ERROR)

_DIGITS = 120  # of the numbers compared
_TOLERANCE = Rational(1, 10**100)
_POINTS = (Rational(17, 11), Rational(-23, 13), Rational(5, 19))  # where expressions in variables are compared
_CONVERSION = ConversionConfig(lowercase_symbols=False)  # by default pi R^2 is pi r^2
_DECIMAL = re.compile(r"(\d*)\.(\d+)")


class ParseError(Exception):
    """An expression that latex2sympy does not understand."""


def grade_symbolically(golds: list[str], answer: str) -> str:
    """`correct`, `wrong` or `parse_error` for an answer that exact arithmetic could not decide."""
    try:
        return "correct" if any(grade(gold, answer, _Sympy()) for gold in golds) else "wrong"
    except (ParseError, Unreadable):
        return "parse_error"


class _Sympy:
    """Equal means: no number tells them apart AND math_verify proves it. Either alone errs on the generous side."""

    def equal(self, gold: str, answer: str) -> bool:
        gold_expr, answer_expr = _parse(gold), _parse(answer)
        if _differ_numerically(gold_expr, answer_expr) or (gold_expr - answer_expr).is_zero is False:
            return False
        return verify(gold_expr, answer_expr, timeout_seconds=None)

    def proportional(self, gold: str, answer: str, positive: bool) -> bool:
        ratio = simplify(_parse(answer) / _parse(gold))
        return bool(ratio.is_number and ratio.is_finite and (ratio.is_positive if positive else ratio.is_nonzero))


def _differ_numerically(gold: Expr, answer: Expr) -> bool:
    """Whether the two have different values at some point, to 100 digits. Far cheaper than a failed proof."""
    symbols = sorted(gold.free_symbols | answer.free_symbols, key=str)
    for shift in range(len(_POINTS) if symbols else 1):
        point = {symbol: _POINTS[(shift + index) % len(_POINTS)] + index for index, symbol in enumerate(symbols)}
        values = [expression.evalf(_DIGITS, subs=point) for expression in (gold, answer)]
        if all(_is_finite_number(value) for value in values):
            difference, size = abs(values[0] - values[1]), max(abs(values[0]), abs(values[1]))
            if difference > _TOLERANCE * size:
                return True
    return False


def _is_finite_number(value: Expr) -> bool:
    return all(isinstance(part, Number) and part.is_finite for part in value.as_real_imag())


@lru_cache(maxsize=4096)
def _parse(latex: str) -> Expr:
    # Floats would be compared after rounding; a decimal is an exact number.
    exact = _DECIMAL.sub(lambda number: rf"\frac{{{number[1]}{number[2]}}}{{1{'0' * len(number[2])}}}", latex)
    try:
        expression = latex2sympy(exact, is_real=True, normalization_config=None, conversion_config=_CONVERSION)
    except MemoryError:
        raise
    except Exception as error:  # antlr, sympy and Python's own: the parser declares none
        raise ParseError(latex) from error
    if not isinstance(expression, Expr):
        raise ParseError(latex)
    return expression.subs({symbol: I for symbol in expression.free_symbols if symbol.name == "i"})
