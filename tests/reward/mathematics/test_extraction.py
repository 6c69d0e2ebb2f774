import pytest

from reward.mathematics.extraction import answer_span, answer_style, extract_answer, last_box, unboxed


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{5}", "5"),
        (r"first \boxed{3}, then \boxed{4}", "4"),
        (r"\boxed{3}\boxed{4}", "4"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed {5}", "5"),
        (r"\boxed{\boxed{5}}", r"\boxed{5}"),
        (r"\boxed{1+\boxed{2}}", r"1+\boxed{2}"),
        (r"\boxed{5", None),
        (r"\boxed{4} so \boxed{5", None),
        (r"\boxed{4} so \boxed{\frac{1}{2}", None),
        (r"\boxed{4 so \boxed{5}", "5"),
        (r"} \boxed{5} {", "5"),
        (r"{ \boxed{5}", "5"),
        (r"\boxed{ }", None),
        (r"\boxed{}", None),
        (r"\boxed 5", None),
        ("the answer is 5", None),
        (r"\fbox{5}", None),
        (r"\\boxed{5}", None),  # a line break and the word "boxed"
        ("", None),
    ],
)
def test_last_complete_box(text, content):
    span = last_box(text)
    assert (text[slice(*span)] if span else None) == content


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"<think>\boxed{1}</think> \boxed{2}", "2"),
        (r"<think>\boxed{1}</think> so it is 1", None),
        (r"\boxed{1}</think>\boxed{2}</think>\boxed{3}", "3"),
        (r"<think> I have \boxed{1} and", None),
    ],
)
def test_only_what_follows_the_thinking_counts(response, answer):
    assert extract_answer(response) == answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"\boxed{1}, \boxed{2}.", r"\boxed{1}, \boxed{2}"),
        (r"\boxed{1} or $\boxed{2}$", r"\boxed{1} or $\boxed{2}"),
        (r"\boxed{0}. \boxed{1} \quad \text{and} \quad \boxed{2}", r"\boxed{1} \quad \text{and} \quad \boxed{2}"),
        (r"(a) \boxed{1} for part (a) and (b): \boxed{2}", r"\boxed{1} for part (a) and (b): \boxed{2}"),
        (r"\boxed{1}, no wait, \boxed{2}", "2"),
        (r"\boxed{1}:\boxed{2}", "2"),
        (r"\boxed{1} - \boxed{2}", "2"),
        (r"\frac{\boxed{1}}{\boxed{2}}", "2"),
        (r"\boxed{}, \boxed{2}", "2"),
        (r"\boxed{1}, \boxed{}", None),
        (r"\boxed{1}, \boxed{2", None),
        (r"{\boxed{1}, \boxed{2}", r"\boxed{1}, \boxed{2}"),
        (r"\boxed{\boxed{1}, \boxed{2}}", r"\boxed{1}, \boxed{2}"),
        (r"\boxed{7}, " * 99 + r"\boxed{8}", "8"),
    ],
)
def test_boxes_belong_together_where_only_connectives_separate_them(response, answer):
    assert extract_answer(response) == answer


@pytest.mark.parametrize(
    ("answer", "together", "each"),
    [
        ("x+1", "x+1", ["x+1"]),
        (r"\boxed{\boxed{\frac{1}{2}}}", r"\frac{1}{2}", [r"\frac{1}{2}"]),
        (r"\boxed{1}, \boxed{234}", "1;234", ["1", "234"]),
        (r"\boxed{1} for part (a) or \boxed{2}", r"1\text{ or }2", ["1", "2"]),
        (r"2\boxed{3}", r"2\boxed{3}", [r"2\boxed{3}"]),
    ],
)
def test_boxes_are_read_as_one_answer_and_each_alone(answer, together, each):
    assert unboxed(answer) == (together, each)


def test_a_computed_number_is_the_last_box_alone():
    assert extract_answer(r"\boxed{1}, \boxed{2}", "numeral") == "2"


def test_gsm8k_line_counts_before_a_box():
    assert extract_answer("\\boxed{1}\n#### 42\n", "gsm8k") == "42"
    assert extract_answer("#### 1\n#### 1,234", "gsm8k") == "1,234"
    assert extract_answer(r"\boxed{42}", "gsm8k") == "42"
    assert extract_answer("#### 42") is None


@pytest.mark.parametrize(
    ("data_source", "style"),
    [
        ("vcore/arithmetic", "numeral"),
        ("openai/gsm8k", "gsm8k"),
        ("m-a-p/SuperGPQA", "choice"),
        ("R-Bench", "choice"),
        ("SynthLabsAI/Big-Math-RL-Verified", "boxed"),
        ("", "boxed"),
    ],
)
def test_style_follows_the_data_source(data_source, style):
    assert answer_style(data_source) == style


def test_the_place_of_the_answer_is_the_last_box():
    assert answer_span(r"\boxed{1}, \boxed{2}") == (18, 19)


def test_deep_nesting_and_megabytes_take_linear_time():
    assert last_box("\\boxed{" * 100_000 + "}" * 99_999) is not None
    assert last_box("\\boxed{" * 100_000) is None
    assert extract_answer(r"\boxed{7}," * 200_000) == "7"
    assert extract_answer(r"\boxed{7}" + " " * 2_000_000 + r"\boxed{8}") == "8"
    assert last_box("x" * 2_000_000 + r"\boxed{7}") == (2_000_007, 2_000_008)
