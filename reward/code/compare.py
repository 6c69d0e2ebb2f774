"""Whether what a program printed or returned is the expected answer. Pure functions; nothing of the program runs here.

Sources: LiveCodeBench, lcb_runner/evaluation/testing_util.py at 28fef95 (`lines`, `value`); DMOJ's documentation of its
checkers `standard` (`tokens`) and `floats`; EvalPlus, evalplus/eval/__init__.py at 038088e (`typed`, `typed_set`,
`root`). Printed bytes that are not UTF-8 are compared with U+FFFD in their place.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from itertools import zip_longest
from typing import Any, Literal

Comparison = Literal["lines", "tokens", "floats", "typed", "typed_set", "root"]

_FLOAT_TOLERANCE = 1e-6  # DMOJ's default: absolute or relative
_TYPED_ABSOLUTE, _TYPED_RELATIVE = 1e-6, 1e-7  # EvalPlus's default, and numpy's beside it
_ROOT_TOLERANCE = 1e-4  # of EvalPlus's check of HumanEval/32
_LINE_END = re.compile(rb"[\r\n]+")


def lines(printed: bytes, expected: str) -> bool:
    """LiveCodeBench's rule: as many lines, each equal without the white space at its ends, or equal as numbers.

    White space at the ends of the whole output is free. Numbers are Python Decimals, compared without tolerance, token
    by token (7.0 is 7; `1  2` is `1 2`; but two words must be separated as expected).
    """
    printed_lines = printed.decode("utf-8", "replace").strip().split("\n")
    expected_lines = expected.strip().split("\n")
    return len(printed_lines) == len(expected_lines) and all(map(_same_line, printed_lines, expected_lines))


def tokens(printed: bytes, expected: str) -> bool:
    """DMOJ's `standard`: equal tokens, where a line break stands between two exactly if one is expected there."""
    return _same_tokens(printed, expected, lambda token, expected_token: token == expected_token)


def floats(printed: bytes, expected: str) -> bool:
    """DMOJ's `floats`: as `tokens`, but an expected number accepts what is within 1e-6 of it, absolute or relative."""
    return _same_tokens(printed, expected, _close)


COMPARISONS: dict[Comparison, Callable[[bytes, str], bool]] = {"lines": lines, "tokens": tokens, "floats": floats}


def _same_line(line: str, expected: str) -> bool:
    line, expected = line.strip(), expected.strip()
    if line == expected:
        return True
    line_tokens, expected_tokens = line.split(), expected.split()
    try:
        return len(line_tokens) == len(expected_tokens) and (
            [Decimal(token) for token in line_tokens] == [Decimal(token) for token in expected_tokens]
        )
    except InvalidOperation:  # a word; or a signalling NaN, which equals nothing
        return False


def _same_tokens(printed: bytes, expected: str, same: Callable[[bytes, bytes], bool]) -> bool:
    """Lazy, so that megabytes of a wrong answer cost no more than their first difference."""
    nothing: list[bytes] = []
    rows = zip_longest(_token_lines(printed), _token_lines(expected.encode()), fillvalue=nothing)
    return all(len(row) == len(expected_row) and all(map(same, row, expected_row)) for row, expected_row in rows)


def _token_lines(text: bytes) -> Iterator[list[bytes]]:
    return (line.split() for line in _LINE_END.split(text) if line.strip())


def _close(token: bytes, expected: bytes) -> bool:
    try:
        target = float(expected)
        if not math.isfinite(target):
            return token.lower() == expected.lower()
    except ValueError:
        return token == expected
    try:
        return math.isclose(float(token), target, rel_tol=_FLOAT_TOLERANCE, abs_tol=_FLOAT_TOLERANCE)
    except ValueError:
        return False


def value(returned: bytes, expected: str) -> bool:
    """LiveCodeBench's rule for functions: Python's `==` with the expected JSON value, a tuple at the top being a list.

    So 3.0 and True equal 3 and 1, but a tuple inside equals no list. `returned` is the jail's tagged JSON. What is no
    such JSON, or nested too deeply to be read, equals nothing.
    """
    return _judged(partial(_equal, at_top=True), returned, expected)


def _read(text: str) -> Any:
    # Decimal equals int, float and bool exactly as int does, and reads a million digits in no time.
    return json.loads(text, parse_int=Decimal)


def _equal(returned: Any, expected: Any, at_top: bool = False) -> bool:
    if isinstance(returned, dict):
        ((kind, items),) = returned.items()
        if kind == "tuple":
            return at_top and isinstance(items, list) and _equal(items, expected)
        if kind != "dict" or not isinstance(items, list) or not isinstance(expected, dict):
            return False
        if len(items) != len(expected) or not all(isinstance(key, str) and key in expected for key, _ in items):
            return False
        # No key but the expected ones gets into a table: numbers that all collide would fill it for hours.
        pairs = dict(items)
        return len(pairs) == len(expected) and all(_equal(pairs[key], expected[key]) for key in expected)
    if isinstance(returned, list):
        return isinstance(expected, list) and len(returned) == len(expected) and all(map(_equal, returned, expected))
    return returned == expected


def typed(returned: bytes, expected: str) -> bool:
    """EvalPlus's rule for functions: Python's `==`, so a tuple equals no list, and 3.0 and True equal 3 and 1.

    Where exactly a float, or a list or tuple of floats only, is expected, each may be off by 1e-6 + 1e-7 times it;
    floats deeper inside or beside other types may not. NaN equals nothing. Both values are in the notation of
    `inside.values`; what is not equals nothing.
    """
    return _judged(lambda found, wanted: _same_value(found, wanted) or _near_floats(found, wanted), returned, expected)


def typed_set(returned: bytes, expected: str) -> bool:
    """As `typed`, for lists, tuples and sets in any order: each may hold an item any number of times."""
    return _judged(lambda found, wanted: _same_items(_items(found), _items(wanted)), returned, expected)


def root(returned: bytes, expected: str) -> bool:
    """Whether a number is a root of a polynomial. Expected are its coefficients, lowest first, and one root.

    As EvalPlus, any number at which the polynomial is within 1e-4 of zero will do; so will the expected root, since a
    steep polynomial may be that close to zero at no float.
    """
    return _judged(
        lambda found, wanted: _near_floats(found, wanted[1]) or _is_root(found, wanted[0]), returned, expected
    )


TYPED: dict[Comparison, Callable[[bytes, str], bool]] = {"typed": typed, "typed_set": typed_set, "root": root}


def _judged(same: Callable[[Any, Any], bool], returned: bytes, expected: str) -> bool:
    """What `same` says of the two values; False for what cannot be read or compared."""
    try:
        return same(_read(returned.decode()), _read(expected))
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        return False


def _same_value(found: Any, wanted: Any) -> bool:
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_same_value, found, wanted))
    if not isinstance(found, dict) or not isinstance(wanted, dict):
        return bool(found == wanted)
    ((kind, items),), ((wanted_kind, wanted_items),) = found.items(), wanted.items()
    if kind != wanted_kind or not isinstance(items, list) or len(items) != len(wanted_items):
        return False
    if kind == "tuple":
        return all(map(_same_value, items, wanted_items))
    if kind == "set":
        items, wanted_items = ([(item, None) for item in side] for side in (items, wanted_items))
    return _same_pairs(items, wanted_items)


def _same_pairs(pairs: Sequence[Any], wanted_pairs: Sequence[Any]) -> bool:
    """Only the expected keys are put into a table: keys of the program that all collide would fill it for hours."""
    wanted = {_hashable(key): place for place, (key, _) in enumerate(wanted_pairs)}
    places = [wanted.get(_hashable(key), -1) for key, _ in pairs]
    if -1 in places or len(set(places)) != len(wanted_pairs):
        return False
    return all(_same_value(item, wanted_pairs[place][1]) for (_, item), place in zip(pairs, places, strict=True))


def _items(value: Any) -> Sequence[Any]:
    """The items of a list, tuple or set. Raises TypeError or ValueError for another value."""
    if isinstance(value, dict):
        ((kind, value),) = value.items()
        if kind == "dict":
            raise TypeError("a dict has no items of this kind")
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _same_items(items: Sequence[Any], wanted_items: Sequence[Any]) -> bool:
    """As `_same_pairs`, only the expected items are put into a table."""
    wanted = {_hashable(item): place for place, item in enumerate(wanted_items)}
    return {wanted.get(_hashable(item), -1) for item in items} == set(wanted.values())


def _is_root(number: Any, coefficients: Sequence[Any]) -> bool:
    if not isinstance(number, (float, Decimal)):
        return False
    terms = (float(coefficient) * float(number) ** power for power, coefficient in enumerate(coefficients))
    return abs(sum(terms)) <= _ROOT_TOLERANCE


def _hashable(value: Any) -> Any:
    """A key or an item of a set. Raises TypeError or ValueError if it can be neither."""
    if isinstance(value, dict):
        ((kind, items),) = value.items()
        if kind != "tuple" or not isinstance(items, list):
            raise TypeError(f"unhashable: {kind}")
        return tuple(map(_hashable, items))
    hash(value)
    return value


def _near_floats(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float):
        return _near(found, wanted)
    if isinstance(found, dict) and isinstance(wanted, dict) and found.keys() == wanted.keys() == {"tuple"}:
        found, wanted = found["tuple"], wanted["tuple"]
    if not isinstance(found, list) or not isinstance(wanted, list) or len(found) != len(wanted):
        return False
    return all(isinstance(target, float) for target in wanted) and all(map(_near, found, wanted))


def _near(number: Any, target: float) -> bool:
    if not isinstance(number, (float, Decimal)) or not math.isfinite(target):
        return bool(number == target)
    return abs(float(number) - target) <= _TYPED_ABSOLUTE + _TYPED_RELATIVE * abs(target)
