r"""Numerical test of whether two constants are equal.

Numbers made of integers by + - * / and roots are either equal or differ by more than a bound that follows from their
expressions (Burnikel, Funke, Mehlhorn, Schirra, Schmitt: A separation bound for real algebraic expressions,
Algorithmica 55, 2009), so enough digits prove them equal. For pi, e, logarithms and angles no such bound is known: they
count as equal if they agree to many more digits than they are written with.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from typing import Any, NamedTuple

import mpmath
import sympy
from sympy import Expr

_FIRST_BITS = 320
_SPARE_BITS = 64
_MIN_BITS = 256
_MAX_BITS = 60_000  # of agreement; more takes seconds
_MAX_SIZE = 1 << 20  # bits of a number or of its inverse
_MAX_TERMS = 500
_SYMPY_DIGITS = 20
_LEAVES = {sympy.pi: mpmath.pi, sympy.E: mpmath.e, sympy.GoldenRatio: mpmath.phi}
_TRIGONOMETRIC = ("sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "acot")
_HYPERBOLIC = ("sinh", "cosh", "tanh", "coth", "asinh", "acosh", "atanh")
_FUNCTIONS: dict[type, Callable] = {
    getattr(sympy, name): getattr(mpmath, name) for name in ("exp", "log", *_TRIGONOMETRIC, *_HYPERBOLIC)
}
_Number = Any  # mpf or mpc


class _TooLarge(Exception):
    """A number exceeds the limits above."""


class _Undefined(Exception):
    """The value does not exist or cannot be computed."""


class _Constant(NamedTuple):
    """A value and the paper's u = 2^upper and l = 2^lower for its bound."""

    value: _Number
    upper: float
    lower: float


def equal_constants(gold: Expr, answer: Expr) -> bool | None:
    """Whether two expressions without free symbols are equal; None if digits cannot decide."""
    try:
        first = _Difference(gold, answer, _FIRST_BITS)
        if not first.bounded:
            return False if abs(first.value) > 1e-12 * max(1, abs(first.answer)) else None
        if abs(first.value) > mpmath.ldexp(1, first.lost_bits - _FIRST_BITS):
            return False
        bits = first.required_bits()
        second = _Difference(gold, answer, bits + first.lost_bits)
        return bool(abs(second.value) < mpmath.ldexp(1, -bits))
    except _TooLarge:
        return False
    except (_Undefined, ZeroDivisionError):
        return None


class _Difference:
    """gold - answer, computed with `bits` bits.

    Attributes:
        value: the difference.
        lost_bits: bits that rounding may have made wrong, from the largest and smallest intermediate values.
        bounded: False if sympy evaluated a part, whose error is unknown.
    """

    def __init__(self, gold: Expr, answer: Expr, bits: int):
        self.bounded = self._algebraic = True
        self.lost_bits = _SPARE_BITS
        self._roots: dict[Any, int] = {}
        with mpmath.workprec(bits):
            right = self._compute(answer)
            self.answer = right.value
            self.value, self._upper, self._lower = _sum(self._compute(gold), right._replace(value=-right.value))

    def required_bits(self) -> int:
        """The number of bits such that a difference below 2^-bits is 0."""
        if self._algebraic:
            proof = self._lower + (math.prod(self._roots.values()) - 1) * self._upper
            if proof <= _MAX_BITS:
                return max(_MIN_BITS, math.ceil(proof))
        bits = 4096 + 8 * math.ceil(self._upper + self._lower)
        if bits > _MAX_BITS:
            raise _TooLarge
        return bits

    def _compute(self, expr: Expr) -> _Constant:
        number = self._number(expr)
        if not mpmath.isfinite(number.value):
            raise _Undefined
        if number.upper + number.lower > _MAX_SIZE:
            raise _TooLarge
        self.lost_bits = max(self.lost_bits, 2 * _magnitude(number.value) + _SPARE_BITS)
        return number

    def _number(self, expr: Expr) -> _Constant:
        match expr:
            case sympy.Rational():
                return _rational(Fraction(expr.p, expr.q))
            case sympy.Add():
                return reduce(_sum, map(self._compute, expr.args))
            case sympy.Mul():
                return reduce(_product, map(self._compute, expr.args))
            case sympy.Pow():
                return self._power(expr)
            case sympy.UnevaluatedExpr():
                return self._compute(expr.args[0])
            case sympy.factorial():
                return self._factorial(self._compute(expr.args[0]).value)
            case sympy.floor():
                value = self._compute(expr.args[0]).value
                nearest = mpmath.nint(value)
                return _rational(Fraction(int(nearest if _close(value, nearest) else mpmath.floor(value))))
            case sympy.Sum() | sympy.Product() if len(expr.args) == 2:
                return self._terms(expr)
        return self._function(expr)

    def _power(self, expr: sympy.Pow) -> _Constant:
        base, exponent = self._compute(expr.base), _exact(expr.exp)
        if exponent is None:
            self._algebraic = False
            power = self._compute(expr.exp)
            if base.value and abs(power.value * mpmath.log(base.value)) > _MAX_SIZE:
                raise _TooLarge
            return _transcendental(base.value**power.value, base, power)
        top, degree = exponent.numerator, exponent.denominator
        if (base.upper + base.lower) * abs(top) > _MAX_SIZE * degree:
            raise _TooLarge
        if degree > 1:
            self._roots[expr.base, degree] = degree
            base = _root(base, degree)
        upper, lower = (base.upper, base.lower) if top >= 0 else (base.lower, base.upper)
        return _Constant(base.value**top, upper * abs(top), lower * abs(top))

    def _factorial(self, value: _Number) -> _Constant:
        nearest = int(mpmath.nint(mpmath.re(value)))
        if not _close(value, nearest) or nearest < 0:
            raise _Undefined
        if nearest * nearest.bit_length() > _MAX_SIZE:
            raise _TooLarge
        return _rational(Fraction(math.factorial(nearest)))

    def _terms(self, expr: sympy.Sum | sympy.Product) -> _Constant:
        index, first, last = expr.limits[0]
        low, high = _exact(first), _exact(last)
        if low is None or high is None:
            return self._by_sympy(expr)
        if high - low >= _MAX_TERMS:
            raise _TooLarge
        values = map(sympy.Integer, range(int(low), int(high) + 1))
        with sympy.evaluate(False):
            functions = [expr.function.xreplace({index: value}) for value in values]
        terms = map(self._compute, functions)
        is_sum = isinstance(expr, sympy.Sum)
        return reduce(_sum if is_sum else _product, terms, _rational(Fraction(0 if is_sum else 1)))

    def _function(self, expr: Expr) -> _Constant:
        if expr is sympy.I:
            self._roots[expr] = 2
            return _Constant(mpmath.mpc(0, 1), 0, 0)
        self._algebraic = False
        if expr in _LEAVES:
            return _transcendental(+_LEAVES[expr])
        if expr.func not in _FUNCTIONS:
            return self._by_sympy(expr)
        args = [self._compute(arg) for arg in expr.args]
        if expr.func is not sympy.log and any(arg.upper + arg.lower > _MAX_BITS for arg in args):
            raise _TooLarge
        if expr.func is sympy.exp and abs(args[0].value) > _MAX_SIZE:
            raise _TooLarge
        return _transcendental(_FUNCTIONS[expr.func](*(arg.value for arg in args)), *args)

    def _by_sympy(self, expr: Expr) -> _Constant:
        self.bounded = False
        for arg in expr.args:
            if isinstance(arg, Expr) and not arg.free_symbols:
                self._compute(arg)  # raises on sizes that sympy's own evaluation would not limit
        value = expr.evalf(_SYMPY_DIGITS)
        if not all(part.is_Number and part.is_finite for part in value.as_real_imag()):
            raise _Undefined
        return _transcendental(mpmath.mpmathify(value))


def _exact(expr: Expr) -> Fraction | None:
    """The value of a short rational expression, such as an exponent; None for anything else."""
    match expr:
        case sympy.Rational():
            return Fraction(expr.p, expr.q)
        case sympy.Add() | sympy.Mul():
            values = [value for arg in expr.args if (value := _exact(arg)) is not None]
            if len(values) < len(expr.args):
                return None
            return sum(values, Fraction()) if expr.is_Add else math.prod(values, start=Fraction(1))
        case sympy.Pow():
            base, power = _exact(expr.base), _exact(expr.exp)
            if base and power is not None and power.denominator == 1:
                bits = max(base.numerator.bit_length(), base.denominator.bit_length())
                return base**power.numerator if abs(power) * bits < _MIN_BITS else None
    return None


def _rational(value: Fraction) -> _Constant:
    top, bottom = value.numerator, value.denominator
    return _Constant(mpmath.mpf(top) / bottom, math.log2(abs(top) or 1), math.log2(bottom))


def _sum(left: _Constant, right: _Constant) -> _Constant:
    upper = max(left.upper + right.lower, left.lower + right.upper) + 1
    return _Constant(left.value + right.value, upper, left.lower + right.lower)


def _product(left: _Constant, right: _Constant) -> _Constant:
    return _Constant(left.value * right.value, left.upper + right.upper, left.lower + right.lower)


def _root(base: _Constant, degree: int) -> _Constant:
    value = mpmath.root(base.value, degree)
    if base.upper >= base.lower:
        return _Constant(value, (base.upper + (degree - 1) * base.lower) / degree, base.lower)
    return _Constant(value, base.upper, ((degree - 1) * base.upper + base.lower) / degree)


def _transcendental(value: _Number, *args: _Constant) -> _Constant:
    """A constant whose bound grows with its magnitude and its arguments': very large or small ones need more digits."""
    if not mpmath.isfinite(value):
        raise _Undefined
    return _Constant(value, sum(arg.upper + arg.lower for arg in args) + _magnitude(value), 0)


def _magnitude(value: _Number) -> int:
    return abs(int(mpmath.mag(value))) if value else 0


def _close(value: _Number, nearest: _Number) -> bool:
    return bool(abs(value - nearest) < mpmath.ldexp(1, -mpmath.mp.prec // 2))
