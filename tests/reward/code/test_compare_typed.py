import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward.code.compare import root, typed, typed_set
from reward.code.inside.values import encode

scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 2.5]) | st.sampled_from("ab")
hashable = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2).map(tuple), max_leaves=4)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.lists(inner, max_size=2).map(tuple)
        | st.sets(hashable, max_size=2)
        | st.dictionaries(hashable, inner, max_size=2)
    ),
    max_leaves=6,
)


def written(value) -> str:
    return encode(value, {}, typed=True)


def accepts(returned, expected) -> bool:
    return typed(written(returned).encode(), written(expected))


@given(values, values)
def test_any_value_is_compared_as_python_compares_it(returned, expected):
    assert accepts(returned, expected) == (returned == expected)


@given(values)
def test_a_value_equals_itself(value):
    assert accepts(value, value)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (0.1 + 0.2, 0.3),
        (0.3 + 9e-7, 0.3),
        (1e9 + 99, 1e9),
        ([0.1 + 0.2, 1], [0.3, 1.0]),
        ((0.1 + 0.2,), (0.3,)),
        (10**8, 1e8 + 1),
        (float("inf"), float("inf")),
        (2**80, 2**80),
        ({2: [1], "a": (1,)}, {"a": (1,), 2: [1]}),
        ({True, (1, 2)}, {(1.0, 2), 1}),
        ({1: 2.0}, {True: 2}),
    ],
)
def test_values_that_are_equal(returned, expected):
    assert accepts(returned, expected)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ((1, 2), [1, 2]),
        ([1, 2], (1, 2)),
        ([0.5], (0.5,)),
        ((0.1 + 0.2,), [0.3]),
        ({1, 2}, [1, 2]),
        ([(1, 2)], [[1, 2]]),
        (set(), {}),
        (0.3 + 2e-6, 0.3),
        (1, 1 + 1e-5),
        ([0.3, 0.5], [0.3]),
        ([0.1 + 0.2, 1], [0.3, 1]),
        ([[0.1 + 0.2]], [[0.3]]),
        ({0.1 + 0.2}, {0.3}),
        ({"a": 0.1 + 0.2}, {"a": 0.3}),
        (1 + 1e-9, 1),
        ("0.3", 0.3),
        (None, 0.0),
        (1.0, float("inf")),
        (float("inf"), 1e308),
        (float("nan"), float("nan")),
        ({1: 2}, {1: 2, 3: 4}),
        (2**80 + 1, 2**80),
    ],
)
def test_values_that_differ(returned, expected):
    assert not accepts(returned, expected)


@pytest.mark.parametrize(
    "returned",
    [
        *(b"", b"3 3", b"\xff", b"{}", b"[" * 1_000_000, b'{"tuple":' * 100_000, b'{"tuple": 3}', b'{"list": [3]}'),
        *(b'{"set": 3}', b'{"set": [3, 3]}', b'{"set": [[3], 3]}', b'{"set": [{"set": [3]}, 4]}', b'{"dict": [3, 4]}'),
        *(b'{"dict": [[3, 4], [3, 4]]}', b'{"dict": [[[3], 4], [4, 5]]}', b'{"set": [3, 4], "tuple": [3, 4]}'),
        *(b'{"set": {"3": 3, "4": 4}}', b'{"dict": [[3], [4]]}'),
    ],
)
@pytest.mark.parametrize("expected", [[3], (3,), {3, 4}, {3: 4, 4: 5}, 0.5, None])
def test_what_is_not_exactly_one_value_equals_nothing(returned, expected):
    assert not typed(returned, written(expected))


def test_items_that_collide_in_a_hash_table_cost_no_more_than_others():
    collide = [index * (2**61 - 1) for index in range(1, 30_001)]  # all of hash 0
    expected = json.dumps({"set": list(range(30_000))})
    begun = time.process_time()
    assert not typed(json.dumps({"set": collide}).encode(), expected)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("returned", "expected", "right"),
    [
        ((2, 1), (1, 2), True),
        ([1, 2, 2], {1, 2}, True),
        ([(1, "a"), (2.0, "b")], [(2, "b"), (1, "a")], True),
        ([], (), True),
        ([1], [1, 2], False),
        ([1, 2, 3], [1, 2], False),
        ([[1]], [[1]], False),
        ({1: 2}, [1], False),
        (3, [3], False),
        (None, [], False),
    ],
)
def test_in_any_order_items_count_once(returned, expected, right):
    assert typed_set(written(returned).encode(), written(expected)) == right


@pytest.mark.parametrize(
    ("returned", "right"),
    [(1.0, True), (2, True), (3.0 - 1e-6, True), (2.5, False), (float("inf"), False), (1e300, False), ("1", False)],
)
def test_any_root_of_the_polynomial_is_right(returned, right):
    assert root(written(returned).encode(), "[[-6, 11, -6, 1], 1.0]") == right


def test_the_expected_root_is_right_where_the_polynomial_is_too_steep():
    coefficients = [-2e30, 0, 1e30]
    found = 2**0.5
    assert abs(coefficients[0] + coefficients[2] * found**2) > 1e-4
    assert root(written(found).encode(), json.dumps([coefficients, found]))


def test_items_that_all_collide_are_refused_at_once():
    collide = [2**61 * k for k in range(1, 20_000)]
    assert not typed_set(json.dumps(collide).encode(), "[1, 2]")
