import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward.code.compare import floats, lines, tokens

words = st.text("abxyz-_.", min_size=1, max_size=4)
integers = st.integers(-(10**30), 10**30)
word_pages = st.lists(st.lists(words, min_size=1, max_size=3), min_size=1, max_size=3)
pages = st.lists(st.lists(st.one_of(words, integers.map(str)), min_size=1, max_size=4), min_size=1, max_size=4)


def page(rows: list[list[str]], blank: str = " ", end: str = "\n") -> str:
    return "".join(blank.join(row) + end for row in rows)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("42", "42\n"),
        ("\n 42 \t\n\n", "42\n"),
        ("42\r\n", "42"),
        ("5\r\n8\r\n", "5\n8\n"),
        ("5 \n\t8", "5\n8\n"),
        ("5   8", "5 8"),
        ("42.0", "42"),
        ("4.2e1", "42"),
        ("+042", "42"),
        ("4_2", "42"),
        ("４２", "42"),
        ("0.50 -0", "0.5 0"),
        ("Infinity -inf", "inf -Infinity"),
        ("nan", "nan"),
        ("", "\n"),
        ("   \n", ""),
        ("9" * 5000 + ".0", "9" * 5000),
    ],
)
def test_lines_that_are_equal(printed, expected):
    assert lines(printed.encode(), expected)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("43", "42"),
        ("5 8", "5\n8"),
        ("5\n8", "5 8"),
        ("5\n\n8", "5\n8"),
        ("5\n8", "5\n\n8"),
        ("5", "5\n8"),
        ("5 8 9", "5 8"),
        ("red  blue", "red blue"),
        ("Yes", "YES"),
        ("x 1.0", "x 1"),
        ("nan 1.0", "nan 1"),
        ("snan", "nan"),
        ("0.6666667", "0.66666667"),
        ("0.25000000000000000000000000001", "0.25"),
        ("0x2a", "42"),
        ("1e999999999999999999999", "42"),
        ("", "42"),
        ("42", ""),
    ],
)
def test_lines_that_differ(printed, expected):
    assert not lines(printed.encode(), expected)


def test_bytes_that_are_not_text_are_a_wrong_answer_and_no_error():
    for compare in (lines, tokens, floats):
        assert not compare(b"\xff\xfe42", "42")
        assert not compare(b"\xff", "�42")


@given(pages, st.sampled_from(["\n", "\r\n", " \n", "\t\n"]), st.sampled_from(["", "\n", " \n\n", "\r\n"]))
def test_lines_ignores_white_space_at_the_ends_of_lines_and_output(rows, end, around):
    assert lines((around + page(rows, end=end) + around).encode(), page(rows))


@given(st.lists(st.lists(integers, min_size=1, max_size=4), min_size=1, max_size=4), st.data())
def test_a_number_may_be_written_otherwise_but_not_changed(rows, data):
    text = page([[str(number) for number in row] for row in rows])
    written = page([[f"{number:+}.000" for number in row] for row in rows], blank="  ")
    assert lines(written.encode(), text)
    row = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(0, len(rows[row]) - 1))
    rows[row][column] += data.draw(st.sampled_from([-1, 1]))
    for compare in (lines, tokens):
        assert not compare(page([[str(number) for number in row] for row in rows]).encode(), text)


@given(word_pages, word_pages)
def test_other_words_are_other_answers(rows, others):
    assert tokens(page(others).encode(), page(rows)) == (rows == others)
    assert lines(page(others).encode(), page(rows)) == (rows == others)


@pytest.mark.parametrize(
    ("printed", "expected", "equal"),
    [
        ("5  8\n", "5 8", True),
        ("\n\n 5 8", "5 8\n\n", True),
        ("red \t blue", "red blue", True),
        ("5\n\n8", "5\n8", True),
        ("5\r8", "5\n8", True),
        ("5\n8", "5\n\n8", True),
        ("5\v8\f9", "5 8 9", True),
        ("", " \n", True),
        ("5\n8", "5 8", False),
        ("5 8", "5\n8", False),
        ("7.0", "7", False),
        ("07", "7", False),
        ("Yes", "YES", False),
        ("5\u00a08", "5 8", False),
        ("5", "5 8", False),
    ],
)
def test_tokens(printed, expected, equal):
    assert tokens(printed.encode(), expected) is equal


@given(pages, st.sampled_from([" ", "  ", "\t", " \v"]), st.sampled_from(["\n", "\n\n", " \r\n", "\r"]))
def test_tokens_takes_any_white_space_of_the_same_kind(rows, blank, end):
    assert tokens(page(rows, blank, end).encode(), page(rows))
    assert floats(page(rows, blank, end).encode(), page(rows))


@pytest.mark.parametrize(
    ("printed", "expected", "equal"),
    [
        ("0.6666667", "0.66666667", True),
        ("1000000.9", "1000000", True),
        ("1000001.1", "1000000", False),
        ("0.0000009", "0", True),
        ("0.0000011", "0", False),
        ("7.0", "7", True),
        ("area 0.5000001 m", "area 0.5 m", True),
        ("Area 0.5", "area 0.5", False),
        ("half", "0.5", False),
        ("0.5 0.5", "0.5", False),
        ("0.5\n0.5", "0.5 0.5", False),
        ("inf", "inf", True),
        ("-inf", "inf", False),
        ("1e400", "1e308", False),
        ("9e400", "1e400", False),
        ("nan", "nan", True),
        ("nan", "0.5", False),
        ("0.5", "nan", False),
    ],
)
def test_floats(printed, expected, equal):
    assert floats(printed.encode(), expected) is equal


@given(st.floats(-1e300, 1e300), st.floats(-0.9e-6, 0.9e-6))
def test_floats_accepts_what_is_within_a_millionth(number, error):
    printed = number + error * max(1.0, abs(number))
    assert floats(repr(printed).encode(), repr(number))


@given(pages, pages)
def test_what_tokens_accepts_floats_accepts_too(rows, others):
    if tokens(page(others).encode(), page(rows)):
        assert floats(page(others).encode(), page(rows))


@pytest.mark.parametrize("compare", [lines, tokens, floats])
@pytest.mark.parametrize("printed", [b"9" * 8_000_000, b"9 " * 4_000_000, b"\n" * 8_000_000, b"9\n" * 4_000_000])
def test_megabytes_of_output_are_compared_in_seconds(compare, printed):
    begun = time.process_time()
    assert not compare(printed, "1" * 100_000)
    assert time.process_time() - begun < 5
