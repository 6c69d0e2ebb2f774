import pytest

from reward import compute_score, soft_overlong_punishment


@pytest.mark.parametrize(
    ("num_tokens", "punishment"),
    [(0, 0.0), (16384, 0.0), (16385, -1 / 4096), (18432, -0.5), (20480, -1.0), (20481, -1.0), (99999, -1.0)],
)
def test_soft_overlong_punishment_of_the_paper(num_tokens, punishment):
    # DAPO section 4.1: expected length 16,384 and a buffer of 4,096 tokens.
    assert soft_overlong_punishment(num_tokens, max_tokens=20480, buffer_tokens=4096) == pytest.approx(punishment)


def test_a_buffer_wider_than_the_response_is_an_error():
    with pytest.raises(ValueError, match=r"1\.\.100"):
        soft_overlong_punishment(5, max_tokens=100, buffer_tokens=101)


def test_terms_are_off_unless_asked_for_and_leave_accuracy_alone():
    right, wrong, none = (("x", text, "5") for text in (r"\boxed{5}", r"\boxed{6}", "5"))
    assert [compute_score(*row)["score"] for row in (right, wrong, none)] == [1.0, 0.0, 0.0]
    assert [compute_score(*row, format_weight=0.25)["score"] for row in (right, wrong, none)] == [1.25, 0.25, 0.0]
    long = {"overlong_buffer_tokens": 10, "max_response_tokens": 100, "response_tokens": 95}
    assert compute_score(*right, **long) == {"score": 0.5, "acc": 1.0, "status": "correct", "extracted": "5"}


def test_a_length_term_without_the_length_is_an_error():
    with pytest.raises(ValueError, match="response_tokens"):
        compute_score("x", r"\boxed{5}", "5", overlong_buffer_tokens=10, max_response_tokens=100)


def test_an_unknown_option_is_an_error():
    with pytest.raises(TypeError, match="formt_weight"):
        compute_score("x", r"\boxed{5}", "5", formt_weight=1.0)
