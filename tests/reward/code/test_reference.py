import json
from dataclasses import replace

import pytest

from reward.code.reference import Reference

SHA = "0123456789abcdef" * 4
REFERENCE = Reference(SHA, 15)


def test_a_reference_is_short_json():
    text = REFERENCE.dumps()
    assert json.loads(text) == {
        "tests": SHA,
        "num_tests": 15,
        "function": None,
        "compare": "lines",
        "cpu_seconds": 6.0,
        "memory_mb": 1024,
        "language": "python",
    }
    assert len(text) < 250


@pytest.mark.parametrize(
    "reference",
    [
        REFERENCE,
        Reference(SHA, 1, function="twoSum", compare="tokens", cpu_seconds=2),
        Reference("", 0, language="cpp"),
        Reference(SHA, 1, function="swap", compare="typed"),
        Reference(SHA, 3, compare="floats", cpu_seconds=0.5, memory_mb=256, language="cpp"),
    ],
)
def test_loads_inverts_dumps(reference):
    assert Reference.loads(reference.dumps()) == reference


def test_defaults_may_be_absent():
    assert Reference.loads(f'{{"tests": "{SHA}", "num_tests": 15}}') == REFERENCE


@pytest.mark.parametrize(
    "text",
    [
        *("", "42", "null", "[]", "{}", "\\frac12", "[" * 100_000, json.dumps({"tests": SHA}), 42, None),
        json.dumps(json.loads(REFERENCE.dumps()) | {"seconds": 3}),
    ],
)
def test_what_is_no_reference_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match="not the ground truth of a programming problem") as error:
        Reference.loads(text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("tests", value) for value in ["", "x" * 64, SHA.upper(), None, 7]),
        *(("num_tests", value) for value in [0, -1, True, 1.0, "1"]),
        *(("function", value) for value in ["", "os.system", "f()", 3]),
        *(("compare", value) for value in ["", "exact", None, [], "typed"]),
        *(("cpu_seconds", value) for value in [0, -1, 1e9, float("nan"), True, "6"]),
        *(("memory_mb", value) for value in [0, 63, 1e3, "1024"]),
        *(("language", value) for value in ["", "C++", None]),
    ],
)
def test_a_field_of_another_kind_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"ground truth of a programming problem: {field} must be"):
        replace(REFERENCE, **{field: value})


def test_only_values_of_python_functions_are_typed():
    assert Reference(SHA, 1, function="solve", language="cpp").compare == "lines"
    with pytest.raises(ValueError, match="compare must be lines, tokens or floats: typed is for Python's functions"):
        Reference(SHA, 1, function="solve", language="cpp", compare="typed")
