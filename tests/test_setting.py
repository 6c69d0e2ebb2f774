import math

import pytest

from vcore_verl.setting import Setting


@pytest.mark.parametrize(
    ("setting", "value", "refusal"),
    [
        (Setting(low=1), 1, None),
        (Setting(low=1), 0, "must be at least 1"),
        (Setting(above=0, high=1), 0.0, "must be above 0 and at most 1"),
        (Setting(above=0, high=1), 1.0, None),
        (Setting(low=0, below=1), 1.0, "must be at least 0 and below 1"),
        (Setting(above=0), math.inf, None),
        (Setting(above=0), math.nan, "must be above 0"),
        (Setting(above=0), None, None),
        (Setting(low=0, below=1), [0.9, 0.999], None),
        (Setting(low=0, below=1), [0.9, 1.0], "must be at least 0 and below 1"),
        (Setting(choices=("a", "b")), "a", None),
        (Setting(choices=("a", "b")), "c", "is not known; choose one of a, b"),
        (Setting(above=0, choices=("auto",)), "auto", None),
        (Setting(above=0, choices=("auto",)), 0.1, None),
        (Setting(above=0, choices=("auto",)), -1, "must be above 0"),
        (Setting(above=0, choices=("auto",)), "big", "is not known; choose one of auto, or a number above 0"),
        (Setting(above=0, choices=("auto",)), True, "is not known; choose one of auto, or a number above 0"),
        (Setting("anything"), -5, None),
    ],
)
def test_a_value_is_refused_with_what_would_be_taken(setting, value, refusal):
    assert setting.refusal(value) == refusal
