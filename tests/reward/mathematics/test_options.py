import pytest

from reward import compute_score


def test_a_format_term_is_off_unless_asked_for_and_leaves_accuracy_alone():
    right, wrong, none = (("x", text, "5") for text in (r"\boxed{5}", r"\boxed{6}", "5"))
    assert [compute_score(*row)["score"] for row in (right, wrong, none)] == [1.0, 0.0, 0.0]
    assert [compute_score(*row, format_weight=0.25)["score"] for row in (right, wrong, none)] == [1.25, 0.25, 0.0]
    assert compute_score(*right, format_weight=0.25)["acc"] == 1.0


def test_an_unknown_option_is_an_error():
    with pytest.raises(TypeError, match="formt_weight"):
        compute_score("x", r"\boxed{5}", "5", formt_weight=1.0)
