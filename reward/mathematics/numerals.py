r"""Exact rational arithmetic on short LaTeX, without sympy, which decides nearly every answer.

`parse_numeral` reads a written number (`-1{,}234.50`, `\frac{3}{4}`, `2\frac{1}{2}`, `1.5\times10^{3}`);
`evaluate` also applies `+ - * / ^` to them. Both expect the output of `reward.mathematics.normalise.clean` and return
None for anything they cannot fully parse; nothing is rounded.
"""

import re
from fractions import Fraction

_MAX_BITS = 20_000  # limits the time and memory of exact results
_INTEGER = r"\d{1,3}(?:,\d{3})+|\d{1,3}(?:[ ]\d{3})+|\d+"
_NUMERAL = re.compile(
    rf"""(?P<sign>[+-]?)\s*(?:
        (?P<whole>\d+)\s*\\frac\{{(?P<mixed_top>\d+)\}}\{{(?P<mixed_bottom>\d+)\}}
      | (?P<whole_slash>\d+)\ (?P<mixed_top_slash>\d+)\s*/\s*(?P<mixed_bottom_slash>\d+)
      | \\frac\{{\s*(?P<top_sign>-?)\s*(?P<top>{_INTEGER})\s*\}}\{{\s*(?P<bottom>{_INTEGER})\s*\}}
      | (?P<top_slash>{_INTEGER})\s*/\s*(?P<bottom_slash>{_INTEGER})
      | (?P<repeating_whole>\d*)\.(?P<fixed>\d*)\\overline\{{(?P<repeating>\d+)\}}
      | (?P<decimal>(?:{_INTEGER})(?:\.\d*)?|\.\d+)
        (?:\s*(?:\\times|\\cdot|\*)\s*10\^(?:\{{\s*(?P<exponent>[+-]?\d+)\s*\}}|(?P<digit_exponent>\d))
          |[eE](?P<e_exponent>[+-]?\d+))?
    )""",
    re.VERBOSE,
)
_GROUPED = re.compile(r"0[\d ,]*[ ,]")  # 0,123 has no thousands separator


def parse_numeral(text: str) -> Fraction | None:
    r"""The value of one written number.

    Integers with or without thousands separators, decimals, repeating decimals (`0.\overline{3}`), simple fractions,
    mixed numbers with a proper fraction, scientific notation. Leading zeros and one sign are allowed.
    """
    match = _NUMERAL.fullmatch(text.strip())
    if match is None or _GROUPED.match(text.strip("+- ")):
        return None
    value = _magnitude({name: part for name, part in match.groupdict().items() if part is not None})
    return -value if value is not None and match["sign"] == "-" else value


def _magnitude(part: dict[str, str]) -> Fraction | None:
    if "whole" in part or "whole_slash" in part:
        suffix = "" if "whole" in part else "_slash"
        top, bottom = int(part[f"mixed_top{suffix}"]), int(part[f"mixed_bottom{suffix}"])
        return int(part[f"whole{suffix}"]) + Fraction(top, bottom) if 0 < top < bottom else None
    if "top" in part or "top_slash" in part:
        suffix = "" if "top" in part else "_slash"
        top, bottom = _integer(part[f"top{suffix}"]), _integer(part[f"bottom{suffix}"])
        return Fraction(-top if part.get("top_sign") else top, bottom) if bottom else None
    if "repeating" in part:
        fixed, repeating = part["fixed"], part["repeating"]
        head = Fraction(f"{part['repeating_whole'] or 0}.{fixed or 0}")
        return head + Fraction(int(repeating), (10 ** len(repeating) - 1) * 10 ** len(fixed))
    exponent = int(part.get("exponent") or part.get("digit_exponent") or part.get("e_exponent") or 0)
    if abs(exponent) * 4 > _MAX_BITS:
        return None
    return Fraction(part["decimal"].replace(",", "").replace(" ", "")) * Fraction(10) ** exponent


def _integer(digits: str) -> int:
    return int(digits.replace(",", "").replace(" ", ""))


_TOKEN = re.compile(
    r"\s*(?:(?P<mixed>\d+\s*\\frac\{\d+\}\{\d+\})|(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)"
    r"|(?P<operator>\\(?:times|cdot|div|frac|ast)(?![a-zA-Z])|[-+*/^(){}]))"
)
_SPELLING = {r"\times": "*", r"\cdot": "*", r"\ast": "*", r"\div": "/", r"\frac": "frac"}


def evaluate(text: str) -> Fraction | None:
    """The exact value of an arithmetic expression in integers and decimals; None for anything else.

    Also None if the value is undefined (division by zero) or would exceed 20,000 bits.
    """
    if (value := parse_numeral(text)) is not None:
        return value
    tokens: list[str | Fraction] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            return None
        if match["operator"]:
            tokens.append(_SPELLING.get(match["operator"], match["operator"]))
        else:
            number = parse_numeral(match["mixed"] or match["number"])
            if number is None:
                return None
            tokens.append(number)
        position = match.end()
    try:
        return _Arithmetic(tokens).value()
    except (_NotArithmetic, ZeroDivisionError, RecursionError):
        return None


class _NotArithmetic(Exception):
    """The tokens do not form an arithmetic expression of bounded size."""


class _Arithmetic:
    """Recursive descent: sum > product > power > atom. Adjacent factors are not multiplied: `3 4` is rejected."""

    def __init__(self, tokens: list[str | Fraction]):
        self._tokens = tokens
        self._next = 0

    def value(self) -> Fraction:
        result = self._sum()
        if self._next != len(self._tokens):
            raise _NotArithmetic
        return result

    def _accept(self, *operators: str) -> str | None:
        if self._next < len(self._tokens):
            token = self._tokens[self._next]
            if isinstance(token, str) and token in operators:
                self._next += 1
                return token
        return None

    def _sum(self) -> Fraction:
        sign = self._accept("+", "-")
        result = -self._product() if sign == "-" else self._product()
        while operator := self._accept("+", "-"):
            term = self._product()
            result = _bounded(result + term if operator == "+" else result - term)
        return result

    def _product(self) -> Fraction:
        result = self._power()
        while operator := self._accept("*", "/"):
            factor = self._power()
            result = _bounded(result * factor if operator == "*" else result / factor)
        return result

    def _power(self) -> Fraction:
        base = self._atom()
        if not self._accept("^"):
            return base
        exponent = self._group() if self._peek() == "{" else self._atom()
        if self._peek() == "^" or exponent.denominator != 1:
            raise _NotArithmetic
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if size * abs(exponent.numerator) > _MAX_BITS or (base == 0 and exponent <= 0):
            raise _NotArithmetic
        return base**exponent.numerator

    def _peek(self) -> str | Fraction | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _atom(self) -> Fraction:
        token = self._peek()
        if isinstance(token, Fraction):
            self._next += 1
            return token
        if token == "frac":
            self._next += 1
            return _bounded(self._group() / self._group())
        if token in ("(", "{"):
            return self._group()
        raise _NotArithmetic

    def _group(self) -> Fraction:
        opening = self._accept("(", "{")
        if opening is None:
            raise _NotArithmetic
        result = self._sum()
        if not self._accept(")" if opening == "(" else "}"):
            raise _NotArithmetic
        return result


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > _MAX_BITS or value.denominator.bit_length() > _MAX_BITS:
        raise _NotArithmetic
    return value
