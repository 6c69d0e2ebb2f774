from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from vcore_verl.config.overrides import merge, to_overrides


def test_nested_settings_become_dotted_overrides():
    settings = {"a": {"b": 1, "+c": "x y"}, "d": None, "e": [True, 0.5]}
    assert to_overrides(settings) == ["a.b=1", "+a.c='x y'", "d=null", "e=[true,0.5]"]


def test_everything_below_an_added_key_is_added():
    assert to_overrides({"a": {"+b": {"c": 1, "d": 2}}}) == ["+a.b.c=1", "+a.b.d=2"]


def test_changes_win_and_leave_the_rest():
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}


def test_a_key_keeps_its_plus_when_changed_without_one():
    assert merge({"a": {"+b": 1}}, {"a": {"b": 2}}) == {"a": {"+b": 2}}


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30))
def test_hydra_reads_back_any_string(text):
    (override,) = to_overrides({"key": text})
    assert OverridesParser.create().parse_override(override).value() == text
