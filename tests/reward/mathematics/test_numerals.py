from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward.mathematics.normalise import clean
from reward.mathematics.numerals import evaluate, parse_numeral

FRACTIONS = st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**6)
EXPRESSIONS = st.recursive(
    st.integers(0, 99).map(str),
    lambda part: st.tuples(part, st.sampled_from("+-*"), part).map(lambda both: f"({''.join(both)})"),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("-007", -7),
        ("+7.50", "15/2"),
        (".5", "1/2"),
        ("5.", 5),
        ("1,234,567", 1234567),
        ("1{,}234", 1234),
        (r"1\,234", 1234),
        ("12 345", 12345),
        (r"\dfrac{3}{4}", "3/4"),
        (r"\frac34", "3/4"),
        (r"\frac{-3}{4}", "-3/4"),
        ("3/4", "3/4"),
        (r"2\frac{1}{2}", "5/2"),
        (r"-2\tfrac12", "-5/2"),
        ("2 1/2", "5/2"),
        ("3½", "7/2"),
        (r"0.\overline{3}", "1/3"),
        (r"0.1\overline{6}", "1/6"),
        (r"1.5\times10^3", 1500),
        (r"1.5 \cdot 10^{-3}", "3/2000"),
        ("1.5e3", 1500),
        ("−٣", -3),
    ],
)
def test_written_numbers(text, value):
    assert parse_numeral(clean(text)) == Fraction(value)


@pytest.mark.parametrize(
    "text",
    (
        "",
        "-",
        "--5",
        "7 7",
        "1,00",
        "0,123",
        "1,2345",
        "1.2.3",
        "3+4",
        "x",
        "1/0",
        "5-",
        "0x1F",
        "1_000",
        "nan",
        "1e99999",
    ),
)
def test_what_is_no_written_number(text):
    assert parse_numeral(clean(text)) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3+4", 7),
        (r"3\cdot4-5", 7),
        ("2^{10}", 1024),
        ("-2^2", -4),
        ("(-2)^2", 4),
        (r"\frac{1+2}{4}", "3/4"),
        ("12÷4×3", 9),
        ("2^{-2}", "1/4"),
        ("2(3)", None),
        ("3 4", None),
        ("1/0", None),
        ("0^0", None),
        ("9^{9^9}", None),
        ("2^{0.5}", None),
        ("((1)", None),
        ("__import__('os')", None),
    ],
)
def test_exact_arithmetic(text, value):
    assert evaluate(clean(text)) == (None if value is None else Fraction(value))


@settings(deadline=None, derandomize=True)
@given(FRACTIONS)
def test_a_fraction_is_read_back_exactly(value):
    top, bottom = value.numerator, value.denominator
    for text in (rf"\frac{{{top}}}{{{bottom}}}", f"{top}/{bottom}"):
        assert parse_numeral(clean(text)) == value
    whole, rest = divmod(abs(top), bottom)
    if rest:
        assert parse_numeral(clean(rf"{'-' if top < 0 else ''}{whole}\frac{{{rest}}}{{{bottom}}}")) == value


@settings(deadline=None, derandomize=True)
@given(st.integers(-(10**15), 10**15), st.integers(0, 8))
def test_a_decimal_is_read_back_exactly(digits, places):
    value = Fraction(digits, 10**places)
    text = f"{'-' if digits < 0 else ''}{abs(digits) // 10**places:,}.{abs(digits) % 10**places:0{max(places, 1)}d}"
    assert parse_numeral(clean(text)) == value


@settings(deadline=None, derandomize=True)
@given(EXPRESSIONS)
def test_arithmetic_agrees_with_python(expression):
    assert evaluate(expression) == Fraction(eval(expression))


@settings(deadline=None, derandomize=True)
@given(st.text(alphabet=r"0123456789+-*/^(){}.,\ frac", max_size=60))
def test_nothing_raises(text):
    evaluate(clean(text))
