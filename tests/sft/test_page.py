import pytest

from vcore_verl.sft.page import relative_weights, weights_page
from vcore_verl.sft.view import WeightedExample

EXAMPLE = WeightedExample("1+1=?", ["<b>", "2", "\n"], [0.0, 2.0, 4.0], [0.1, 0.2, 0.3], ["filler", "step", "step"])
UNIFORM = WeightedExample("1+1=?", ["<b>", "2", "\n"], [1.0, 1.0, 1.0], [0.1, 0.2, 0.3], ["filler", "step", "step"])


def test_page_shows_arms_side_by_side_and_escapes_text():
    page = weights_page({"vcore": [EXAMPLE], "sft": [UNIFORM]}, shown=1)
    assert page.count("<h3>") == 2
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert 'title="weight 2.000, loss 0.200 step"' in page


def test_relative_weights_by_hand():
    assert relative_weights([EXAMPLE, UNIFORM], "step") == pytest.approx([1.5, 1.0])
    assert relative_weights([EXAMPLE], "filler") == [0.0]
    assert relative_weights([EXAMPLE], "answer") == []


def test_kinds_are_tabled_with_an_interval_over_sequences():
    page = weights_page({"vcore": [EXAMPLE, UNIFORM]}, shown=0)
    # Mean of 1.5 and 1.0; half-width 12.706 * 0.3536 / sqrt(2).
    assert "1.25 ± 3.18 (2)" in page
