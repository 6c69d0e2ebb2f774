import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward import DOMAINS
from reward.code.problems import narrative
from reward.domain import OVERLAP_WORDS
from vcore_verl.data.evaluated import Evaluated, EvaluatedProblems, name, names

MATHEMATICS, CODE = DOMAINS["math"], DOMAINS["code"]
TOLD = (
    "A lamplighter walks along a straight canal and lights every third lamp until her oil is gone; afterwards a sleepy "
    "heron puts out each lamp whose number has exactly two divisors."
)
BOILERPLATE = (
    "The first line of each test case contains two integers n and m, the number of lamps and the number of questions."
)


ASKED = "Two trains leave at noon from towns that are 300 km apart, and the first one goes twice as fast."
OF_MATHEMATICS = EvaluatedProblems([Evaluated("a", ASKED), Evaluated("b", "What is $\\frac{1}{2}+1$?")], MATHEMATICS)


@given(st.lists(st.sampled_from(["x", "y", "zz"]), max_size=30), st.integers(0, 7))
def test_thirteen_words_in_a_row_are_found_wherever_they_are_planted(filler, start):
    words = ASKED.rstrip(".").replace(",", "").split()
    planted = " ".join([*filler, *words[start : start + OVERLAP_WORDS], *filler])
    assert OF_MATHEMATICS.overlaps(planted)
    broken = " ".join([*filler, *words[start : start + OVERLAP_WORDS - 1], "q", *filler])
    assert not OF_MATHEMATICS.overlaps(broken)


def test_typesetting_hides_no_problem():
    assert OF_MATHEMATICS.contains("what is  $ \\dfrac{1}{2} + 1 $")
    assert OF_MATHEMATICS.contains("What is \\frac{1}{2}+1?")


def test_problems_that_differ_by_a_sign_or_a_digit_are_different():
    assert not OF_MATHEMATICS.contains("What is $\\frac{1}{2}-1$?")
    assert MATHEMATICS.question_key("Find 12 + 3") != MATHEMATICS.question_key("Find 1 + 23")


@pytest.mark.parametrize(
    "heading",
    [
        "Input",
        "-----Input-----",
        "Input:",
        "**Input Format**",
        "### Constraints:",
        "Example 1:",
        "Examples",
        "SAMPLE INPUT #1",
        "Input: lamps = [1, 2]",
        "【输入格式】",
        "Output Specification",
    ],
)
def test_a_narrative_ends_at_the_first_heading(heading):
    assert narrative(f"{TOLD}\n\n{heading}\n{BOILERPLATE}").strip() == TOLD


@pytest.mark.parametrize(
    "line",
    [
        "Input is given slowly.",
        "Examples of herons are many.",
        "The output of the mill is constant:",
        "Note that it rains.",
    ],
)
def test_a_sentence_is_no_heading(line):
    assert narrative(f"{TOLD}\n{line}\n{BOILERPLATE}").endswith(BOILERPLATE)


def test_a_statement_that_begins_with_a_heading_is_compared_whole():
    statement = f"Input\n{BOILERPLATE}"
    assert narrative(statement) == statement


def test_boilerplate_after_the_heading_is_no_contamination():
    evaluated = EvaluatedProblems([Evaluated("a", f"{TOLD}\n\nInput\n{BOILERPLATE}")], CODE)
    other = "Bakers queue for flour in an order that only the oldest of them remembers, and nobody dares to ask why."
    assert not evaluated.overlaps(f"{other}\n\nInput\n{BOILERPLATE}")
    assert evaluated.overlaps(f"{other} {TOLD}\n\nInput\n1 2")
    assert evaluated.contains(f"{TOLD}\n\nInput format\nsomething else")


def test_words_that_many_evaluation_problems_share_identify_none():
    shared = "You are asked by the mayor of a small town near the sea to write a program that decides the following."
    some = [Evaluated(str(index), f"{shared} Question {index}: how many boats?") for index in range(3)]
    assert not EvaluatedProblems(some, CODE).overlaps(shared)
    assert EvaluatedProblems(some[:2], CODE).overlaps(shared)


def test_one_problem_in_several_benchmarks_counts_once():
    same = [Evaluated("abc1", TOLD) for _ in range(5)]
    assert EvaluatedProblems(same, CODE).overlaps(TOLD)


@given(st.lists(st.sampled_from(["oil", "lamp", "heron"]), max_size=20), st.integers(0, 12))
def test_thirteen_words_of_the_narrative_are_found_wherever_they_are_planted(filler, start):
    words = TOLD.replace(";", "").replace(".", "").split()
    evaluated = EvaluatedProblems([Evaluated("a", TOLD)], CODE)
    assert evaluated.overlaps(" ".join([*filler, *words[start : start + 13], *filler]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://codeforces.com/contest/1873/problem/A.", {"codeforces/1873/a"}),
        ("https://codeforces.com/problemset/problem/1873/B1", {"codeforces/1873/b1"}),
        ("https://atcoder.jp/contests/abc301/tasks/abc301_a", {"atcoder/abc301_a"}),
        ("(https://leetcode.com/problems/two-sum/)", {"leetcode/two-sum"}),
        ("https://loj.ac/p/3897 and https://www.codechef.com/START1/problems/LAMP", {"loj/3897", "codechef/lamp"}),
        ("no link", set()),
    ],
)
def test_links_name_problems(text, expected):
    assert names(text) == expected


def test_a_problem_is_known_by_name_whatever_its_words():
    evaluated = EvaluatedProblems([Evaluated("a", TOLD, name("atcoder", "abc301_A"))], CODE)
    assert evaluated.named("other words", name("atcoder", "ABC301_a"))
    assert evaluated.named("other words: https://atcoder.jp/contests/abc301/tasks/abc301_a")
    assert not evaluated.named("other words", name("atcoder", "")) and not evaluated.named("other words")
