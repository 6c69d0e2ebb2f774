from hypothesis import given
from hypothesis import strategies as st

from vcore_verl.data.draw import Draw, rank

ROWS = st.lists(st.integers(0, 40), max_size=60)


def drawn(rows: list[int], capacity: int) -> Draw[int]:
    draw: Draw[int] = Draw(capacity)
    for row in rows:
        draw.add(rank(7, row), row)
    return draw


@given(ROWS, st.integers(1, 50), st.randoms(use_true_random=False))
def test_the_order_of_the_stream_changes_nothing(rows, capacity, random):
    shuffled = random.sample(rows, len(rows))
    one, other = drawn(rows, capacity), drawn(shuffled, capacity)
    assert one.ordered() == other.ordered()
    assert (one.repeats, one.left_out) == (other.repeats, other.left_out)


@given(ROWS, st.integers(1, 50))
def test_every_row_is_drawn_or_counted(rows, capacity):
    draw = drawn(rows, capacity)
    assert draw.ordered() == sorted(set(rows), key=lambda row: rank(7, row))[:capacity]
    assert len(draw.ordered()) + draw.repeats + draw.left_out == len(rows)
    assert draw.repeats == sum(rows.count(row) - 1 for row in draw.ordered())


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=60), st.integers(1, 12))
def test_of_each_group_the_row_of_lowest_preference_is_drawn(rows, capacity):
    draw: Draw[tuple[int, int]] = Draw(capacity)
    for group, row in rows:
        draw.add(rank(7, group), (group, row), preference=row)
    groups = sorted({group for group, _ in rows}, key=lambda group: rank(7, group))[:capacity]
    assert draw.ordered() == [(group, min(row for other, row in rows if other == group)) for group in groups]
    assert len(groups) + draw.repeats + draw.left_out == len(rows)


def test_the_seed_and_every_part_of_a_row_count():
    assert len({rank(1, "a", "b"), rank(2, "a", "b"), rank(1, "ab", ""), rank(1, "a", ["b"])}) == 4
