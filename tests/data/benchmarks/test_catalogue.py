"""Rows in the published format of each benchmark, and the exact prompts they become."""

from collections import Counter

import pytest

import reward
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.benchmarks.declaration import Problem
from vcore_verl.data.benchmarks.mathematics import MATHEMATICS, held_out
from vcore_verl.data.benchmarks.prepare import stratified

MATH = (
    "You are a helpful and accurate assistant for solving the following math problem:\n"
    "{}\n\n"
    "Please reason step by step, and put the correct answer within \\boxed{{}} at last."
)
CHOICE = (
    "You are a helpful and accurate assistant for solving the following multiple-choice question:\n"
    "{}\n\n"
    "Options are:\n"
    "{}\n\n"
    "Please reason step by step, and put the correct answer within \\boxed{{}} at last."
)

ROWS = {
    "aime": (
        {
            "id": 60,
            "problem": "Every morning Aya goes for a walk. Find the number of minutes.",
            "solution": "...",
            "answer": "073",
            "url": "https://artofproblemsolving.com/wiki",
            "year": "2024",
        },
        ("aime-2024-60", MATH.format("Every morning Aya goes for a walk. Find the number of minutes."), "73"),
    ),
    "olympiad": (
        {
            "id": 1606,
            "question": "Xenia and Sergey play the following game. Determine $n$.",
            "solution": ["..."],
            "final_answer": ["$2$"],
            "is_multiple_answer": False,
            "unit": None,
            "answer_type": "Numerical",
            "error": None,
            "subfield": "Combinatorics",
        },
        ("olympiad-1606", MATH.format("Xenia and Sergey play the following game. Determine $n$."), "2"),
    ),
    "rbench": (
        {
            "index": "0f2a",
            "question": "Which law holds?",
            "A": "Ohm",
            "B": "Hooke",
            "C": "Fick",
            "D": "Snell",
            "E": "Boyle",
            "F": "None",
            "answer": "C",
        },
        (
            "rbench-0f2a",
            CHOICE.format("Which law holds?", "(A): Ohm\n(B): Hooke\n(C): Fick\n(D): Snell\n(E): Boyle\n(F): None"),
            "C",
        ),
    ),
    "supergpqa_1k": (
        {
            "uuid": "17b1",
            "question": "Which enzyme?",
            "options": ["Lipase", "Amylase", "Lactase"],
            "answer": "Amylase",
            "answer_letter": "B",
            "discipline": "Medicine",
            "field": "Basic Medicine",
            "subfield": "Physiology",
            "difficulty": "easy",
            "is_calculation": False,
        },
        ("supergpqa-17b1", CHOICE.format("Which enzyme?", "(A): Lipase\n(B): Amylase\n(C): Lactase"), "B"),
    ),
    "math500": (
        {
            "problem": "Convert the point $(0,3)$ to polar coordinates.",
            "solution": "...",
            "answer": "\\left( 3, \\frac{\\pi}{2} \\right)",
            "subject": "Precalculus",
            "level": 2,
            "unique_id": "test/precalculus/807.json",
        },
        (
            "math500-test/precalculus/807.json",
            MATH.format("Convert the point $(0,3)$ to polar coordinates."),
            "\\left( 3, \\frac{\\pi}{2} \\right)",
        ),
    ),
    "gsm8k": (
        {
            "question": "Janet's ducks lay 16 eggs per day. How much does she make?",
            "answer": "She sells 16 - 3 - 4 = <<16-3-4=9>>9.\n#### 1,018",
        },
        ("gsm8k-7", MATH.format("Janet's ducks lay 16 eggs per day. How much does she make?"), "1018"),
    ),
    "big_math": (
        {
            "problem": "What is $1+1$?",
            "answer": "2",
            "source": "orca_math",
            "domain": ["Mathematics -> Algebra"],
            "llama8b_solve_rate": 0.9,
        },
        ("bigmath-4cd0ee8962f3", MATH.format("What is $1+1$?"), "2"),
    ),
    "big_math_open": (
        {"prompt": "What is $1+1$?", "solution": "2", "source": "orca_math", "llama8b_solve_rate": 0.9},
        ("bigmath-4cd0ee8962f3", MATH.format("What is $1+1$?"), "2"),
    ),
}


@pytest.mark.parametrize("name", [benchmark.name for benchmark in MATHEMATICS])
def test_a_published_row_becomes_the_papers_prompt(name):
    row, (prompt_id, prompt, gold) = ROWS[name]
    benchmark = BENCHMARKS[name]
    assert set(benchmark.columns) <= set(row)
    problem = benchmark.problem(row, 7)
    assert problem == Problem(prompt_id, [{"role": "user", "content": prompt}], gold)


@pytest.mark.parametrize("name", [benchmark.name for benchmark in MATHEMATICS])
def test_the_gold_answer_in_a_box_is_graded_correct(name):
    row, _ = ROWS[name]
    problem = BENCHMARKS[name].problem(row, 0)
    response = f"<think>\\boxed{{0}}</think>The answer is \\boxed{{{problem.gold}}}."
    assert reward.compute_score(BENCHMARKS[name].data_source, response, problem.gold)["status"] == "correct"


@pytest.mark.parametrize("name", ["rbench", "supergpqa_1k"])
def test_a_multiple_choice_answer_is_a_letter(name):
    row, _ = ROWS[name]
    problem = BENCHMARKS[name].problem(row, 0)
    other = "D" if problem.gold != "D" else "A"
    assert reward.compute_score(BENCHMARKS[name].data_source, f"\\boxed{{{other}}}", problem.gold)["status"] == "wrong"


def test_sizes_are_those_of_the_paper_and_of_the_published_sets():
    sizes = {name: benchmark.size for name, benchmark in BENCHMARKS.items()}
    assert sizes == {
        "aime": 60,
        "olympiad": 674,
        "rbench": 1094,
        "supergpqa_1k": 1000,
        "math500": 500,
        "gsm8k": 1319,
        "big_math": 500,
        "big_math_open": 500,
        "livecodebench": 1055,
        "livecodebench_window": 454,
        "livecodebench_cpp": 454,
        "ojbench_cpp": 232,
        "ojbench_python": 232,
        "humanevalplus": 164,
        "mbppplus": 378,
    }


def test_a_stratified_draw_keeps_the_distribution_and_is_repeatable():
    rows = [{"kind": "abbcccc"[position % 7], "id": position} for position in range(7000)]
    draw = stratified(rows, "kind", 100, seed=1)
    assert Counter(row["kind"] for row in draw) == {"a": 14, "b": 29, "c": 57}
    assert draw == stratified(rows, "kind", 100, seed=1)
    assert draw != stratified(rows, "kind", 100, seed=2)
    assert [row["id"] for row in draw] == sorted(row["id"] for row in draw)


def test_about_four_in_a_thousand_problems_are_held_out():
    share = sum(held_out(f"What is {number} + 1?") for number in range(100_000)) / 100_000
    assert share == pytest.approx(0.004, abs=0.001)
    assert held_out("What is  7\n+ 1?") == held_out("What is 7 + 1?")
