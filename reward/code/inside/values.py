"""A returned value as one line of JSON that keeps exact types.

None, bool, int, float, str and list are themselves; a tuple is `{"tuple": [...]}`, a set `{"set": [...]}` and a dict
`{"dict": [[key, value], ...]}`. Types are compared exactly and no method of the value is called, so neither `__eq__`
nor `__repr__` nor `__iter__` of a subclass is asked. Encoding runs beside an untrusted program: what it uses is taken
at import, before the program can replace it.
"""

import json
import sys
from collections import Counter, OrderedDict, defaultdict
from typing import Any

_quote = json.encoder.encode_basestring_ascii
_int_text, _float_text = int.__repr__, float.__repr__
_type, _items, _join, _sorted = type, dict.items, str.join, sorted
_NONE, _BOOL, _INT, _FLOAT, _STR, _LIST, _TUPLE, _DICT = type(None), bool, int, float, str, list, tuple, dict
_SET, _COUNTER, _ORDERED, _DEFAULT = set, Counter, OrderedDict, defaultdict


def numpy_scalars() -> dict[type, Any]:
    """Every scalar type of numpy with its conversion to Python's; empty if numpy is not imported."""
    numpy = sys.modules.get("numpy")
    return {} if numpy is None else {scalar: scalar.item for scalar in set(numpy.sctypeDict.values())}


def encode(value: Any, scalars: dict[type, Any], typed: bool = False) -> str:
    """The value as JSON; numpy's `scalars` become Python's.

    With `typed`, as EvalPlus needs it: sets too, in the order of their items' JSON, and the dicts of `collections`,
    which equal a dict of their items.

    Raises:
        TypeError: it is or contains something else (a generator, an array, an instance of another subclass).
        RecursionError: it is nested too deeply.
    """
    kind = _type(value)
    if kind in scalars:
        value = scalars[kind](value)
        kind = _type(value)
    if kind is _NONE:
        return "null"
    if kind is _BOOL:
        return "true" if value is True else "false"
    if kind is _INT:
        return _int_text(value)
    if kind is _FLOAT:
        return _float(value)
    if kind is _STR:
        return _quote(value)
    if kind is _LIST:
        return f"[{_join(', ', [encode(item, scalars, typed) for item in value])}]"
    if kind is _TUPLE:
        return f'{{"tuple": [{_join(", ", [encode(item, scalars, typed) for item in value])}]}}'
    if typed and kind is _SET:
        return f'{{"set": [{_join(", ", _sorted([encode(item, scalars, typed) for item in value]))}]}}'
    if kind is _DICT or (typed and (kind is _COUNTER or kind is _ORDERED or kind is _DEFAULT)):
        pairs = [f"[{encode(key, scalars, typed)}, {encode(item, scalars, typed)}]" for key, item in _items(value)]
        return f'{{"dict": [{_join(", ", pairs)}]}}'
    raise TypeError(f"the function returned {kind.__name__}, which is no JSON value")


def _float(value: Any) -> str:
    if value != value:
        return "NaN"
    if value in (_INFINITY, -_INFINITY):
        return "Infinity" if value > 0 else "-Infinity"
    return _float_text(value)


_INFINITY = float("inf")


def decode(line: bytes) -> object:
    """The value again, with Python's own types.

    Raises:
        ValueError: this is not exactly one encoded value, in one line.
    """
    try:
        return json.loads(line.decode(), object_hook=_tagged)
    except (RecursionError, KeyError, TypeError) as error:
        raise ValueError(f"not an encoded value: {error}") from error


_CONTAINERS: dict[str, Any] = {"tuple": tuple, "set": set, "dict": dict}


def _tagged(parts: dict[str, Any]) -> object:
    ((tag, items),) = parts.items()
    return _CONTAINERS[tag](items)
