import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward.code.compare import value
from reward.code.inside.values import encode

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 3),
    st.floats(allow_nan=False),
    st.sampled_from([0.0, 1.0, 2.5]),
    st.text(),
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
)
python_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.one_of(st.text(max_size=2), st.integers(0, 3)), inner, max_size=3)
    ),
)


def accepts(returned, expected) -> bool:
    return value(encode(returned, {}).encode(), json.dumps(expected))


def official(returned, expected) -> bool:
    """LiveCodeBench's comparison of the objects themselves."""
    return (list(returned) if isinstance(returned, tuple) else returned) == json.loads(json.dumps(expected))


@given(python_values, json_values)
def test_any_value_is_compared_as_python_compares_it(returned, expected):
    assert accepts(returned, expected) == official(returned, expected)


@given(json_values)
def test_an_equal_value_is_compared_as_python_compares_it(expected):
    read = json.loads(json.dumps(expected))
    assert accepts(read, expected) == official(read, expected)
    if isinstance(read, list):
        assert accepts(tuple(read), expected) == official(tuple(read), expected)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (3, 3.0),
        (3.0, 3),
        (True, 1),
        (0, False),
        (None, None),
        ((1, 2), [1, 2]),
        (([1], [2]), [[1], [2]]),
        ([], []),
        ({"b": [1], "a": None}, {"a": None, "b": [1]}),
        (2**80, 2**80),
        (2.0**80, 2**80),
        (float("inf"), float("inf")),
        ("ä漢\ud800\0", "ä漢\ud800\0"),
    ],
)
def test_values_that_are_equal(returned, expected):
    assert accepts(returned, expected)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ([(1, 2)], [[1, 2]]),
        (((1, 2),), [[1, 2]]),
        ({"a": (1,)}, {"a": [1]}),
        ((), {}),
        ({}, []),
        ([], None),
        (None, 0),
        ("3", 3),
        (3, "3"),
        ("", []),
        ([1, 2], [2, 1]),
        ([1], [1, 2]),
        (0.1 + 0.2, 0.3),
        (2**80 + 1, 2**80),
        (2.0**80, 2**80 + 1),
        ({1: 2}, {"1": 2}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"tuple": [1, 2]}, [1, 2]),
        (float("nan"), float("nan")),
    ],
)
def test_values_that_differ(returned, expected):
    assert not accepts(returned, expected)


@pytest.mark.parametrize(
    "returned",
    [
        *(b"", b"3 3", b"3\n3", b"\xff", b"{}", b"[3", b'"3', b"nope", b"[" * 1_000_000, b'{"tuple":' * 100_000),
        *(b'{"tuple": [3], "dict": []}', b'{"tuple": 3}', b'{"set": [3]}', b'{"dict": 3}', b'{"dict": [[3]]}'),
        *(b'{"dict": [[[3], 3]]}', b'{"dict": {"a": 3}}', b'{"list": [3]}'),
    ],
)
@pytest.mark.parametrize("expected", ["3", "[3]", "{}", '{"a": 3}', "null"])
def test_what_is_not_exactly_one_value_equals_nothing(returned, expected):
    assert not value(returned, expected)


def test_a_million_digits_are_compared_at_once():
    begun = time.process_time()
    assert value(b"7" * 1_000_000, "7" * 1_000_000)
    assert not value(b"7" * 1_000_000, "7" * 999_999 + "8")
    assert time.process_time() - begun < 2


def test_keys_that_collide_in_a_hash_table_cost_no_more_than_others():
    collide = [[index * (2**61 - 1), 0] for index in range(1, 30_001)]  # all of hash 0
    expected = json.dumps({str(index): 0 for index in range(30_000)})
    begun = time.process_time()
    assert not value(json.dumps({"dict": collide}).encode(), expected)
    assert time.process_time() - begun < 2
