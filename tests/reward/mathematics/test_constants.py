r"""Constants that used to take seconds, and near misses. Seconds are those of this process alone."""

import time

import pytest

from reward.mathematics.symbolic import grade_symbolically, warm_up

NESTED = r"\frac{\sqrt{\sqrt{11}+\sqrt{194}}}{15+2\sqrt{33}}"
EQUAL = [
    (NESTED, r"\frac{\sqrt{\sqrt{194}+\sqrt{11}}}{2\sqrt{33}+15}"),
    (NESTED, r"\frac{(15-2\sqrt{33})\sqrt{\sqrt{194}+\sqrt{11}}}{93}"),
    (r"\frac{1}{\sqrt2+\sqrt3+\sqrt5}", r"\frac{\sqrt{12}+\sqrt{18}-\sqrt{30}}{12}"),
    (r"\sqrt{\sqrt[3]{5}-\sqrt[3]{4}}", r"\frac{\sqrt[3]{2}+\sqrt[3]{20}-\sqrt[3]{25}}{3}"),
    (r"\sqrt{2}+\sqrt{3}+\sqrt{5}+\sqrt{7}", r"\sqrt{5+2\sqrt6}+\sqrt{12+2\sqrt{35}}"),
    (r"(\sqrt{2}+1)^{1000}(\sqrt2-1)^{1000}", "1"),
    (r"\cos\frac{\pi}{7}\cos\frac{2\pi}{7}\cos\frac{3\pi}{7}", r"\frac{1}{8}"),
    (r"4\arctan\frac15-\arctan\frac{1}{239}", r"\frac{\pi}{4}"),
    (r"(\log_2 3)(\log_3 5)(\log_5 8)", "3"),
    (r"e^{i\pi/4}", r"\frac{1+i}{\sqrt2}"),
    (r"2^{\sqrt2}", r"e^{\sqrt{2}\ln 2}"),
    ("3^{1000}", "9^{500}"),
    (r"\frac{1000!}{998!}", "999000"),
    (r"\binom{200}{100}", r"\frac{200!}{(100!)^2}"),
    (r"\sum_{k=1}^{100}k^2", "338350"),
    (r"\frac{\pi^2}{6}", r"\sum_{k=1}^{\infty}\frac{1}{k^2}"),
    (r"\sqrt{\pi}", r"\int_{-\infty}^{\infty}e^{-x^2}dx"),
]  # fmt: skip
DIFFERENT = [
    (NESTED, r"\frac{\sqrt{\sqrt{11}+\sqrt{195}}}{15+2\sqrt{33}}"),
    (r"\sqrt{2}", r"\sqrt{2}+10^{-2000}"),
    (r"\sqrt{2}", r"\sqrt{2}+10^{-10^{7}}"),
    (r"\sqrt{2}", r"\sqrt{2+(\sqrt{3}-1)^{9999}}"),
    (r"\pi", r"\pi+10^{-1000}"),
    (r"\pi", r"\pi+e^{-10000}"),
    ("1", r"\cos(e^{-1000})"),
    ("1", r"\frac{\sin(10^{-150})}{10^{-150}}"),
    ("262537412640768744", r"e^{\pi\sqrt{163}}"),
    ("7", "5^{5^{5^{5^5}}}"),
    ("7", "((99!)!)!"),
    ("7", r"e^{e^{e^{e^{e}}}}"),
    ("7", r"99999999999^{99999}+\sqrt2"),
    ("7", r"(\sqrt2+\sqrt3+\sqrt5)^{1000}"),
    ("7", r"\sqrt{2+" * 20 + "3" + "}" * 20),
    ("7", r"\sum_{k=1}^{10^{9}}k^k"),
    ("7", r"\prod_{k=1}^{1000000}(7+k)"),
    ("7", r"\sum_{k=1}^{99}2^{k^{k^k}}"),
    ("7", r"\tan(10^{100})"),
    ("7", r"\tan\frac{\pi}{2}"),
    ("7", r"\tan(10^{1000000})"),
    ("7", r"|5^{5^{5^{5^5}}}|+\sqrt2"),
    ("3", r"\lfloor 3-10^{-50}\rfloor"),
    ("7", r"\frac{\sqrt2}{0}"),
    ("7", r"\ln(0)"),
]


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    warm_up()


def _graded(gold: str, answer: str) -> tuple[str, float]:
    started = time.process_time()
    return grade_symbolically([gold], answer), time.process_time() - started


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal_constants_are_found_equal_in_time(gold, answer):
    status, seconds = _graded(gold, answer)
    assert status == "correct"
    assert seconds < 2.5  # half the deadline


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_different_constants_are_told_apart_in_time(gold, answer):
    status, seconds = _graded(gold, answer)
    assert status == "wrong"
    assert seconds < 2.5


@pytest.mark.parametrize("answer", [r"\binom{1000000000000}{500000000000}", r"{1000000000000 \choose 500000000000}"])
def test_an_enormous_binomial_coefficient_is_refused(answer):
    assert _graded("7", answer)[0] == "parse_error"


def test_terms_in_another_order_take_milliseconds():
    status, seconds = _graded(NESTED, r"\frac{\sqrt{\sqrt{11}+\sqrt{194}}}{2\sqrt{33}+15}")
    assert status == "correct"
    assert seconds < 0.05
