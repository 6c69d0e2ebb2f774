import json

import pytest

from vcore_verl.data.code import evalplus
from vcore_verl.data.hub import DataError

TEST = """import numpy as np

def assertion(out, exp, atol):
    assert out == exp

def check(candidate):
    inputs = {inputs}
    results = [None]
    for i, (inp, exp) in enumerate(zip(inputs, results)):
        assertion(candidate(*inp), exp, 0)
"""
HUMANEVAL = {
    "task_id": "HumanEval/900",
    "prompt": 'def half(n: int) -> float:\n    """Half of n."""\n',
    "canonical_solution": "    return n / 2\n",
    "entry_point": "half",
    "test": TEST.format(inputs="[[3], [-4]]"),
}
MBPP = {
    "task_id": 901,
    "code": "def helper(x):\n    return x\n\ndef swap(pair):\n    return (pair[1], helper(pair[0]))",
    "prompt": "Write a function to swap a pair.",
    "test_list": ["assert tuple(swap((1, 2))) == (2, 1)", "assert swap((3, 4)) == (4, 3)"],
    "test": TEST.format(inputs="[[(1, 2)], [(None, 'a')]]"),
}


def untyped(value):
    if isinstance(value, dict):
        ((kind, items),) = value.items()
        return {"tuple": tuple, "set": set, "dict": dict}[kind](map(untyped, items))
    return [untyped(item) for item in value] if isinstance(value, list) else value


def values(program, function, inputs):
    """The program is this file's own."""
    scope = {}
    exec(program, scope)
    calls = ([untyped(json.loads(line)) for line in given.split("\n")] for given in inputs)
    return [json.dumps(evalplus.typed(scope[function](*call))) for call in calls]


def test_expected_values_are_those_of_the_rows_own_solution():
    problem = evalplus.humaneval_problem(HUMANEVAL, values, lambda *_: True)
    assert [tuple(test) for test in problem.tests] == [("3", "1.5"), ("-4", "-2.0")]
    assert (problem.problem_id, problem.function, problem.compare) == ("evalplus-HumanEval/900", "half", "typed")
    assert 'def half(n: int) -> float:\n    """Half of n."""\n```' in problem.prompt[0]["content"]


def test_types_of_arguments_and_values_are_kept():
    problem = evalplus.mbpp_problem(MBPP, values, lambda *_: True)
    assert [tuple(test) for test in problem.tests] == [
        ('{"tuple": [1, 2]}', '{"tuple": [2, 1]}'),
        ('{"tuple": [null, "a"]}', '{"tuple": ["a", null]}'),
    ]
    assert (problem.function, problem.compare) == ("swap", "typed")
    content = problem.prompt[0]["content"]
    assert (
        "```python\ndef swap(pair):\n```" in content and "must hold:\nassert tuple(swap((1, 2))) == (2, 1)" in content
    )


def test_a_value_in_any_order_and_any_root_are_right_where_evalplus_says_so():
    anywhere = evalplus.mbpp_problem(MBPP | {"task_id": 2}, values, lambda *_: True)
    assert (anywhere.compare, anywhere.tests[0].output) == ("typed_set", '{"tuple": [2, 1]}')
    row = HUMANEVAL | {"task_id": "HumanEval/32", "test": TEST.format(inputs="[[[4, 2]]]")}
    solved = row | {"canonical_solution": "    return -n[0] / n[1]\n"}
    problem = evalplus.humaneval_problem(solved, values, lambda *_: True)
    assert (problem.compare, problem.tests[0].output) == ("root", "[[4, 2], -2.0]")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ((1, [2.5, (None,)]), '{"tuple": [1, [2.5, {"tuple": [null]}]]}'),
        ({3, 1}, '{"set": [1, 3]}'),
        ({1: {"a": True}}, '{"dict": [[1, {"dict": [["a", true]]}]]}'),
        (float("inf"), "Infinity"),
    ],
)
def test_the_notation_of_types(value, written):
    assert json.dumps(evalplus.typed(value)) == written


@pytest.mark.parametrize("value", [b"bytes", 1j, object(), True.__class__])
def test_other_types_have_no_notation(value):
    with pytest.raises(ValueError, match="has no notation"):
        evalplus.typed(value)


def test_a_problem_whose_own_solution_fails_is_not_judged():
    failing = evalplus.humaneval_problem(HUMANEVAL, values, lambda *_: False)
    assert (failing.unjudged, failing.tests) == ("its own solution does not pass its tests here", ())
    odd = evalplus.humaneval_problem(HUMANEVAL | {"test": TEST.format(inputs="[[1j]]")}, values, lambda *_: True)
    assert odd.unjudged == "it takes a complex, which has no notation"
    silent = evalplus.humaneval_problem(HUMANEVAL, lambda program, function, inputs: [None, "1"], lambda *_: True)
    assert (silent.unjudged, silent.tests) == ("its own solution does not return on all inputs here", ())


def test_infinite_arguments_are_read():
    row = HUMANEVAL | {"test": TEST.format(inputs="[[inf], [-inf], [set()]]")}
    given = []
    evalplus.humaneval_problem(
        row, lambda program, function, inputs: given.extend(inputs) or ["1"] * 3, lambda *_: True
    )
    assert given == ["Infinity", "-Infinity", '{"set": []}']


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("[[__import__('os').system('true')]]", "inputs cannot be read"),
        ("[", "inputs cannot be read"),
        ("[]", "they are not a list of lists"),
        ("[3]", "they are not a list of lists"),
        ("[" * 3000, "inputs cannot be read"),
        ("[[" + "9" * 5000 + "]]", "inputs cannot be read"),
    ],
)
def test_inputs_that_are_no_literals_are_refused_and_not_run(inputs, message):
    with pytest.raises(DataError, match=message) as error:
        evalplus.humaneval_problem(HUMANEVAL | {"test": TEST.format(inputs=inputs)}, values, lambda *_: True)
    assert str(error.value).startswith("HumanEval/900: ") and "\n" not in str(error.value)


def test_rows_of_another_form_are_refused():
    with pytest.raises(DataError, match="its tests list no inputs"):
        evalplus.humaneval_problem(HUMANEVAL | {"test": "assert half(2) == 1"}, values, lambda *_: True)
    with pytest.raises(DataError, match="Mbpp/901: its first test calls no function of its solution"):
        evalplus.mbpp_problem(MBPP | {"test_list": ["assert other(1)"]}, values, lambda *_: True)
