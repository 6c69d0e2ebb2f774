from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vcore_verl.rl.allocation import Pilots, allocate, gvm, neyman, numbers

RATES, NORMS = np.array([0.125, 0.5, 1.0, 0.0]), np.array([2.0, 1.0, 0.5, 3.0])


def test_gvms_weights_are_the_papers():
    found = gvm(RATES, NORMS, alpha=1e-3, beta=2.0)
    np.testing.assert_allclose(found, [5.4840849711, 1.4113935923, 0.4997501873, 0], rtol=1e-10)
    np.testing.assert_allclose(gvm(RATES, NORMS, 0.0, 2.0), [5.6568542495, 1.4142135624, 0.5, 0], rtol=1e-10)


def test_the_regularizer_gives_hopeless_prompts_less():
    rates = np.array([1 / 32, 1e-3**0.5, 0.05, 0.125, 0.25, 0.5, 1])
    expected = [3.9762138624, 3.9763536438, 3.7796447301, 2.7420424855, 1.9841894753, 1.4113935923, 0.9995003747]
    np.testing.assert_allclose(gvm(rates, np.ones(7), 1e-3, 2.0), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("gvm", [6, 3, 2, 5]), ("neyman", [3, 5, 3, 5])],
)
def test_each_rule_allocates_as_its_variance_asks(rule, expected):
    rates = np.array([0.125, 0.5, 0.875, 0.25])
    found = gvm(rates, np.ones(4), 0.0, 2.0) if rule == "gvm" else neyman(rates, np.ones(4))
    assert allocate(found, 16, 0, 16).tolist() == expected


@pytest.mark.parametrize(
    ("lowest", "highest", "expected"),
    [(0, 16, [12, 3, 1, 0]), (2, 8, [8, 4, 2, 2]), (2, 6, [6, 6, 2, 2]), (1, 16, [11, 3, 1, 1])],
)
def test_bounds_and_rounding(lowest, highest, expected):
    assert allocate(gvm(RATES, NORMS, 1e-3, 2.0), 16, lowest, highest).tolist() == expected


def test_the_variance_bound_falls_to_its_optimum():
    def bound(count):
        return float(np.sum(NORMS[:3] ** 2 / (RATES[:3] * count)))

    assert bound(np.full(3, 16 / 3)) == pytest.approx(6.421875)
    optimum = gvm(RATES[:3], NORMS[:3], 0.0, 2.0)
    assert bound(16 * optimum / optimum.sum()) == pytest.approx(optimum.sum() ** 2 / 16) == pytest.approx(3.5825667382)
    assert bound(allocate(optimum, 16, 0, 16)) == pytest.approx(3.5833333333)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # Of two pilots none, one and two are correct: p is 0, 1/2 and 1, G the norm of a correct response.
        ("gvm", [2, 6, 4]),
        # p is 1/6, 1/2 and 5/6, G the mean of both norms: 4, 3 and 2 times sqrt(p (1 - p)).
        ("neyman", [5, 5, 2]),
        ("uniform", [4, 4, 4]),
    ],
)
def test_rates_and_norms_come_from_the_pilots(rule, expected):
    pilots = Pilots(reward_P=[[0, 0], [1, 0], [1, 1]], norm_P=[[3, 5], [2, 4], [2, 2]])
    assert numbers(rule, pilots, 12, lowest=2, highest=8).tolist() == expected


def test_a_prompt_whose_pilots_failed_gets_the_fewest():
    pilots = Pilots(reward_P=[[], [1, 0]], norm_P=[[], [1, 1]])
    assert numbers("gvm", pilots, 8, lowest=2, highest=8).tolist() == [2, 6]


def test_an_impossible_total_is_refused():
    with pytest.raises(ValueError, match="9 responses for 4 prompts, 3 to 8 each, are impossible"):
        allocate(np.ones(4), 9, 3, 8)


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=20), st.integers(0, 4), st.integers(0, 12), st.data())
def test_every_allocation_keeps_its_total_its_bounds_and_the_order_of_the_weights(given_weights, lowest, room, data):
    weight = np.array(given_weights)
    highest = lowest + room
    total = data.draw(st.integers(lowest * len(weight), highest * len(weight)))
    count = allocate(weight, total, lowest, highest)
    assert count.sum() == total
    assert count.min() >= lowest and count.max() <= highest
    order = np.argsort(weight, kind="stable")
    assert all(count[a] <= count[b] + 1 for a, b in pairwise(order))


@given(st.integers(1, 20), st.integers(1, 8), st.floats(1e-6, 1e6))
def test_equal_prompts_get_equal_numbers(size, each, weight):
    assert allocate(np.full(size, weight), size * each, 0, 2 * each).tolist() == [each] * size
    assert allocate(np.zeros(size), size * each, 0, 2 * each).tolist() == [each] * size


@given(st.lists(st.floats(0.01, 10), min_size=2, max_size=8, unique=True), st.randoms())
def test_the_order_of_the_prompts_does_not_matter(given_weights, random):
    weight = np.array(given_weights)
    shuffled = list(range(len(weight)))
    random.shuffle(shuffled)
    real = 4 * len(weight) * weight / weight.sum()
    assume(len({round(value % 1, 6) for value in real}) == len(real))  # ties go to the first
    before, after = (allocate(values, 4 * len(weight), 0, 4 * len(weight)) for values in (weight, weight[shuffled]))
    assert after.tolist() == before[shuffled].tolist()
