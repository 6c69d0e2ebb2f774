"""Objectives as their files declare them, those of the package and those of a user."""

import inspect
from pathlib import Path
from typing import get_type_hints

import pytest

from vcore_verl import objectives
from vcore_verl.config.errors import RecipeError
from vcore_verl.config.objectives import builtin, declarations, find
from vcore_verl.objectives import registry

POWER = """
from typing import Annotated

import torch

from vcore_verl.objectives import Setting, Tokens, Weighting, register


@register("power", compared=True)
def weigh(
    tokens: Tokens,
    *,
    exponent: Annotated[float, Setting("power of the token's probability", low=0.0)] = 0.5,
) -> Weighting:
    return Weighting(torch.exp(-exponent * tokens.loss_T))
"""


def refusal(path: Path, source: str) -> str:
    path.write_text(source)
    with pytest.raises(RecipeError) as raised:
        declarations(path)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(f"{path}:")
    return message


def test_every_objective_is_declared():
    assert sorted(builtin()) == objectives.names()


@pytest.mark.parametrize("name", objectives.names())
def test_a_declaration_says_what_the_function_takes(name: str):
    """Read without running the file, it equals what running it shows."""
    registered, declared = registry._objectives[name], builtin()[name]
    hints = get_type_hints(registered.weigh, include_extras=True)
    parameters = [
        (item.name, hints[item.name].__origin__, item.default, *hints[item.name].__metadata__)
        for item in inspect.signature(registered.weigh).parameters.values()
        if item.kind is item.KEYWORD_ONLY
    ]
    assert [(item.name, item.kind, item.default, item.setting) for item in declared.parameters] == parameters
    assert frozenset(declared.needs) == registered.needs


@pytest.mark.parametrize("name", objectives.names())
def test_every_setting_says_its_effect(name: str):
    assert all(item.setting.effect for item in builtin()[name].parameters)


def test_a_file_of_ones_own_is_declared_like_the_packages(tmp_path: Path):
    (tmp_path / "power.py").write_text(POWER)
    power = find("power", str(tmp_path / "power.py"))
    assert [(item.name, item.kind, item.default) for item in power.parameters] == [("exponent", float, 0.5)]
    assert (power.needs, power.compared, power.colour) == ((), True, None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tokens: Tokens,", "tokens: Tokens", ":12: invalid Python: "),
        (
            '@register("power"',
            "@register(NAME",
            ":9: name 'NAME' is not defined; a declaration holds literals, Setting",
        ),
        ("low=0.0", "low=torch.pi", ":13: name 'torch' is not defined; a declaration holds literals"),
        ("= 0.5", "= half()", ":13: name 'half' is not defined"),
        (" = 0.5", "", ":13: exponent has no default"),
        (
            "Annotated[float, ",
            "Annotated[complex, ",
            ":13: name 'complex' is not defined; a declaration holds literals, Setting and the types bool, int, float",
        ),
        ("exponent: Annotated", "probe: Annotated", ":13: no setting can be called probe"),
        ("low=0.0", "least=0.0", ":13: Setting.__init__() got an unexpected keyword argument 'least'"),
        (
            "compared=True",
            'needs=("surprise",)',
            ":9: needs='surprise' is not known; choose among reference, utility, kind",
        ),
        ("compared=True", 'needs=("old",)', ":9: needs='old' takes a setting refresh"),
        ("compared=True", 'exactly_one=(("a", "exponent"),)', ":9: exactly_one names 'a'"),
        ("compared=True", "color='r'", ":9: Declaration.__init__() got an unexpected keyword argument 'color'"),
    ],
)
def test_a_declaration_that_cannot_be_read_is_one_line_with_its_place(tmp_path, old, new, message):
    assert old in POWER
    assert message in refusal(tmp_path / "power.py", POWER.replace(old, new))


def test_a_setting_without_its_range_shows_how_to_write_one(tmp_path):
    plain = POWER.replace('Annotated[float, Setting("power of the token\'s probability", low=0.0)]', "float")
    expected = ":13: exponent: write exponent: Annotated[type, Setting(...)] = default"
    assert refusal(tmp_path / "power.py", plain).endswith(expected)


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("power", None, "No such file or directory"),
        ("cubic", POWER, "registers no objective 'cubic'; it registers: power"),
        ("power", "x = 1\n", "registers no objective 'power'; it registers: none"),
        ("power", POWER.replace('"power"', '"dft"', 1), "dft is an objective of the package; give yours another name"),
    ],
)
def test_a_file_without_the_objective_is_one_line(tmp_path, name, source, message):
    path = tmp_path / "power.py"
    if source:
        path.write_text(source)
    with pytest.raises(RecipeError) as raised:
        find(name, str(path))
    assert message in str(raised.value)
    assert str(path) in str(raised.value)
