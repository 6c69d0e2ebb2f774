"""Every row of the table in reward/mathematics/README.md."""

import re
from pathlib import Path

import pytest

from reward import compute_score

README = Path(__file__).resolve().parents[3] / "reward/mathematics/README.md"


def _rows() -> list[tuple[str, str, str, str]]:
    table = README.read_text().partition("## Semantics")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|`]+) \| `([^|]+)` \| `([^|]+)` \| (\w+) \|", table, re.MULTILINE)
    assert len(rows) == table.count("\n|") - 2  # a row that cannot be read is no row
    return rows


def _response(cell: str) -> str:
    if repeated := re.fullmatch(r"(.) × (\d+)", cell):
        cell = repeated[1] * int(repeated[2])
    return cell if r"\boxed" in cell else rf"The answer is \boxed{{{cell}}}."


@pytest.mark.parametrize(("form", "gold", "cell", "status"), _rows())
def test_row(form, gold, cell, status):
    assert compute_score("math", _response(cell), gold)["status"] == status


def test_the_table_covers_the_forms_of_answers():
    assert {form for form, *_ in _rows()} >= {
        "fraction", "decimal", "percent", "unit", "degrees", "interval", "inequality", "set", "tuple", "matrix",
        "equation", "several answers", "text", "surd", "pi", "scientific", "thousands", "leading zeros", "signs",
        "spacing", "mixed number", "choice", "nested boxes", "Unicode", "no box", "enormous", "code",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ground_truth", "answer", "status"),
    [
        (7, "7", "correct"),
        (7.5, r"\frac{15}{2}", "correct"),
        (0.1, "0.1", "correct"),
        (["1/2", r"\frac{2}{3}"], r"\frac23", "correct"),
        ([1, 2], "3", "wrong"),
        (["x+1", "5"], "1+x", "correct"),
        (r"\boxed{7}", "7", "correct"),
        ("$7$", "7", "correct"),
    ],
)
def test_forms_of_the_ground_truth(ground_truth, answer, status):
    assert compute_score("math", rf"\boxed{{{answer}}}", ground_truth)["status"] == status


@pytest.mark.parametrize("ground_truth", ["", "  ", None, [], {}, [None], [""]])
def test_a_ground_truth_that_cannot_be_one_is_an_error(ground_truth):
    with pytest.raises(ValueError, match="ground_truth must be"):
        compute_score("math", r"\boxed{7}", ground_truth)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("B", "correct"),
        ("b", "correct"),
        (r"\textbf{(B)}", "correct"),
        (r"\text{B. } 12", "correct"),
        ("(B) 12", "correct"),
        ("A", "wrong"),
        (r"\boxed{B} and \boxed{(B)}", "correct"),
        (r"\boxed{A} or \boxed{B}", "wrong"),
        ("A or B", "parse_error"),
        ("A, B", "parse_error"),
        ("12", "parse_error"),
        ("Because", "parse_error"),
    ],
)
def test_options_of_a_choice(answer, status):
    assert compute_score("m-a-p/SuperGPQA", _response(answer), "B")["status"] == status


def test_gsm8k_line():
    assert compute_score("openai/gsm8k", "so 6*7 = 42\n#### 1,042", "1042")["status"] == "correct"
