"""Algebra with math_verify and sympy. For worker processes only: the import is slow, and calls may hang."""

import logging
import math
import re
from collections.abc import Iterator
from functools import lru_cache

from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy
from math_verify import verify
from sympy import Add, Basic, Expr, I, Mul, Rational, simplify
from sympy.core.numbers import Number

from reward.mathematics.constants import equal_constants
from reward.mathematics.grading import grade
from reward.mathematics.shape import Unreadable

# math_verify's own limits use SIGALRM, which C code ignores; the pool's deadline replaces them.
logging.getLogger("math_verify").setLevel(logging.ERROR)

_DIGITS = 120  # of the numbers compared
_TOLERANCE = Rational(1, 10**100)
_POINTS = (Rational(17, 11), Rational(-23, 13), Rational(5, 19))  # where expressions in variables are compared
_CONVERSION = ConversionConfig(lowercase_symbols=False)  # by default pi R^2 is pi r^2
# Computed here, because sympy would sieve all primes below the upper number.
_BINOMIAL = re.compile(r"\\binom *\{ *(\d+) *\} *\{ *(\d+) *\}|\{ *(\d+) *\\choose *(\d+) *\}")
_MAX_BINOMIAL_BITS = 1 << 17
_DECIMAL = re.compile(r"(\d*)\.(\d+)")


# The parser builds its tables when it first meets a notation, which is far slower than parsing: do it before forking.
_WARM_UP = (
    (r"2\sqrt{2}", r"\sqrt{8}"),
    (r"\frac{\sqrt{3}}{2}", r"\sin(\frac{\pi}{3})"),
    (r"\frac{\sqrt{\sqrt{5}+1}}{3+2\sqrt{7}}", r"\frac{\sqrt{1+\sqrt{5}}}{2\sqrt{7}+3}"),
    (r"\sqrt[3]{2}", r"2^{\frac{1}{3}}"),
    (r"(x+1)^{2}-3y", r"x^2+2x+1-3 \cdot y"),
    (r"\frac{-b+\sqrt{b^2-4ac}}{2a}", r"\frac{\sqrt{b^{2}-4a c}-b}{2 a}"),
    (r"\frac{x_1+1}{x_{2}-1}", r"(1+x_1)/(x_2-1)"),
    (r"e^{2x}", r"\exp(x) e^x"),
    (r"\log_{2} 3+\ln 5", r"\frac{\ln(3)}{\ln 2}+\ln(5)"),
    (r"\sin^2 x+\cos 2x", r"1-\cos^{2}(x)+\cos(2x)"),
    (r"\tan\theta", r"\frac{\sin \theta}{\cos \theta}"),
    (r"3+4i", r"i \times 4+3"),
    (r"\binom{n}{2}+n!", r"\frac{n(n-1)}{2}+n!"),
    (r"|x|+\lfloor y\rfloor", r"\lfloor y \rfloor+|x|"),
    (r"f(x)+\infty", r"f(x)+\infty"),
)


def warm_up() -> None:
    """Parse and compare common notation once."""
    algebra = _Sympy()
    for gold, answer in _WARM_UP:
        algebra.equal(gold, answer)
    algebra.proportional("y-2x", "2x-y", positive=False)
    _parse(r"\sum_{k=1}^{n} k")


def grade_symbolically(golds: list[str], answer: str) -> str:
    """`correct`, `wrong` or `parse_error` for an answer that exact arithmetic could not decide."""
    statuses = [_grade(gold, answer) for gold in golds]
    return next((status for status in ("correct", "wrong") if status in statuses), "parse_error")


def _grade(gold: str, answer: str) -> str:
    try:
        return "correct" if grade(gold, answer, _Sympy()) else "wrong"
    except MemoryError:
        raise
    except Exception:  # antlr and sympy raise undeclared exceptions of any kind on input they cannot handle
        return "parse_error"


class _Sympy:
    """Compares constants by digits; expressions in variables must agree at a few points AND by math_verify's proof."""

    def equal(self, gold: str, answer: str) -> bool:
        gold_expr, answer_expr = _parse(gold), _parse(answer)
        if _key(gold_expr) == _key(answer_expr):
            return True
        if not gold_expr.free_symbols | answer_expr.free_symbols:
            verdict = equal_constants(gold_expr, answer_expr)
            if verdict is None:  # integrals, limits and endless sums may have a closed form
                gold_expr, answer_expr = gold_expr.doit(), answer_expr.doit()
                verdict = equal_constants(gold_expr, answer_expr)
            if verdict is not None:
                return verdict
        elif any(not _close(*values) for values in _values(gold_expr, answer_expr)):
            return False
        return verify(gold_expr, answer_expr, timeout_seconds=None)

    def proportional(self, gold: str, answer: str, positive: bool) -> bool:
        gold_expr, answer_expr = _parse(gold), _parse(answer)
        if _key(gold_expr) == _key(answer_expr):
            return True
        ratios = [
            answer_value / gold_value for gold_value, answer_value in _values(gold_expr, answer_expr) if gold_value
        ]
        if any(not _close(ratios[0], ratio) for ratio in ratios):
            return False
        ratio = simplify(answer_expr / gold_expr)
        return bool(ratio.is_number and ratio.is_finite and (ratio.is_positive if positive else ratio.is_nonzero))


def _key(expression: Basic) -> str:
    """A key that is equal for expressions that differ only in the order of terms and factors."""
    if not expression.args:
        return f"{type(expression).__name__} {expression}"
    if isinstance(expression, (Add, Mul)):
        return f"{expression.func.__name__}({','.join(sorted(map(_key, _terms(expression))))})"
    return f"{expression.func.__name__}({','.join(map(_key, expression.args))})"


def _terms(expression: Expr) -> Iterator[Basic]:
    for term in expression.args:
        yield from _terms(term) if isinstance(term, expression.func) else (term,)


def _values(gold: Expr, answer: Expr) -> Iterator[tuple[Expr, Expr]]:
    """Values of both at a few points, where both are finite. Far cheaper than a failed proof."""
    symbols = sorted(gold.free_symbols | answer.free_symbols, key=str)
    for shift in range(len(_POINTS) if symbols else 1):
        point = {symbol: _POINTS[(shift + index) % len(_POINTS)] + index for index, symbol in enumerate(symbols)}
        values = gold.evalf(_DIGITS, subs=point), answer.evalf(_DIGITS, subs=point)
        if all(_is_finite_number(value) for value in values):
            yield values


def _close(left: Expr, right: Expr) -> bool:
    return bool(abs(left - right) <= _TOLERANCE * max(abs(left), abs(right)))


def _is_finite_number(value: Expr) -> bool:
    return all(isinstance(part, Number) and part.is_finite for part in value.as_real_imag())


@lru_cache(maxsize=4096)
def _parse(latex: str) -> Expr:
    # Decimals become exact fractions: as floats they would be compared after rounding.
    exact = _DECIMAL.sub(lambda number: rf"\frac{{{number[1]}{number[2]}}}{{1{'0' * len(number[2])}}}", latex)
    exact = _BINOMIAL.sub(lambda match: _binomial(*(int(number) for number in match.groups() if number)), exact)
    expression = latex2sympy(exact, is_real=True, normalization_config=None, conversion_config=_CONVERSION)
    if not isinstance(expression, Expr):
        raise Unreadable(latex)
    return expression.subs({symbol: I for symbol in expression.free_symbols if symbol.name == "i"})


def _binomial(upper: int, lower: int) -> str:
    if min(lower, upper - lower) * upper.bit_length() > _MAX_BINOMIAL_BITS:
        raise Unreadable("a binomial coefficient of that size")
    return f"({math.comb(upper, lower)})"
