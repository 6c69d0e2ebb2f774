"""HumanEval+ and MBPP+ (Liu et al., 2023): functions with many inputs. Imports no torch.

The published column `test` holds the expected values and asserts beside the program, which can forge the result. Here
only the inputs are taken from it; the expected values are those that the row's own solution returns, and are compared
outside. Arguments and values keep Python's types: JSON, with tuples, sets and dicts as in `typed`. They are
compared as by EvalPlus (`reward.code.compare.TYPED`), its checks of single problems included, but for four of MBPP+:
here Mbpp/164 and Mbpp/295 accept no constant, and Mbpp/558 and Mbpp/581 no second reading of the problem.
"""

import ast
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from reward.code.compare import Comparison
from reward.code.store import Test
from vcore_verl.data.code import templates
from vcore_verl.data.code.headers import called, header
from vcore_verl.data.code.problem import CodeProblem, Passes, Unusable
from vcore_verl.data.evaluated import Evaluated
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import Published, Row
from vcore_verl.data.rows import user

HUMANEVAL = Published("evalplus/humanevalplus", "test")
HUMANEVAL_COLUMNS = ("task_id", "prompt", "canonical_solution", "entry_point", "test")
HUMANEVAL_SIZE = 164
MBPP = Published("evalplus/mbppplus", "test")
MBPP_COLUMNS = ("task_id", "code", "prompt", "test_list", "test")
MBPP_SIZE = 378

# A program, the name of a function in it and inputs -> the values it returns, in the notation of `typed`; None where it
# returns none.
Values = Callable[[str, str, Sequence[str]], Sequence[str | None]]

# Problems whose value may come in any order (evalplus/eval/_special_oracle.py, 0.3.1), and the one that asks for a root
# of the polynomial that it is given.
_IN_ANY_ORDER = frozenset(f"Mbpp/{number}" for number in (2, 7, 111, 140, 232, 249, 579, 769))
_ROOT = "HumanEval/32"

_MAX_CHARS = 16_000_000  # of one problem's inputs
_INPUTS = re.compile(r"^\s*inputs = (?P<inputs>.*)$", re.MULTILINE)  # one line, as EvalPlus writes it
_CONSTANTS = {"inf": float("inf"), "nan": float("nan")}


def humaneval_problem(row: Row, values: Values, passes: Passes) -> CodeProblem:
    """Raises `DataError` for a row without readable inputs."""
    name, function = str(row["task_id"]), str(row["entry_point"])
    asked = f"Complete the function `{function}`. Its docstring is the problem."
    prompt = templates.code_function(asked, row["prompt"])
    return _problem(
        name, row["prompt"], prompt, row["prompt"] + row["canonical_solution"], function, row["test"], values, passes
    )


def mbpp_problem(row: Row, values: Values, passes: Passes) -> CodeProblem:
    """Raises `DataError` for a row without readable inputs, or whose tests call none of its functions."""
    name, code = f"Mbpp/{row['task_id']}", row["code"]
    first = next(iter(row["test_list"]), "")
    function = called(first, code)
    if function is None:
        raise DataError(f"{name}: its first test calls no function of its solution")
    asked = f"{row['prompt'].strip()}\n\nFor example, this must hold:\n{first}"
    prompt = templates.code_function(asked, header([code], function))
    return _problem(name, row["prompt"], prompt, code, function, row["test"], values, passes)


def evaluated(row: Row) -> Evaluated:
    """What training problems are compared with, of a row of either set."""
    return Evaluated(f"evalplus-{row['task_id']}", row["prompt"])


def typed(value: Any) -> Any:
    """The value as JSON can write it: a tuple is {"tuple": [...]}, a set {"set": [...]}, a dict {"dict": [[key, value],
    ...]}. Raises `Unusable` for other types.
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [typed(item) for item in value]
    if kind is tuple:
        return {"tuple": [typed(item) for item in value]}
    if kind is set:
        return {"set": sorted((typed(item) for item in value), key=json.dumps)}
    if kind is dict:
        return {"dict": [[typed(key), typed(item)] for key, item in value.items()]}
    raise Unusable(f"it takes a {kind.__name__}, which has no notation")


def _problem(
    name: str, statement: str, prompt: str, solution: str, function: str, test: str, values: Values, passes: Passes
) -> CodeProblem:
    calls = _calls(name, test)
    asked = CodeProblem(f"evalplus-{name}", statement, user(prompt), (), function=function, solutions=(solution,))
    try:
        inputs = ["\n".join(json.dumps(typed(argument)) for argument in call) for call in calls]
    except Unusable as error:
        return asked.not_judged(str(error))
    outputs = [value for value in values(solution, function, inputs) if value is not None]
    if len(outputs) < len(inputs):
        return asked.not_judged("its own solution does not return on all inputs here")
    compare: Comparison = "typed_set" if name in _IN_ANY_ORDER else "root" if name == _ROOT else "typed"
    if compare == "root":
        outputs = [f"[{given}, {found}]" for given, found in zip(inputs, outputs, strict=True)]
    problem = replace(asked, tests=tuple(map(Test, inputs, outputs)), compare=compare)
    return problem if passes(problem, solution) else problem.not_judged("its own solution does not pass its tests here")


def _calls(name: str, test: str) -> list[list[Any]]:
    """The arguments of each call. They are literals, so nothing is run."""
    found = _INPUTS.search(test)
    if found is None or len(found["inputs"]) > _MAX_CHARS:
        raise DataError(f"{name}: its tests list no inputs, or more than {_MAX_CHARS:,} characters of them")
    try:
        tree = ast.parse(found["inputs"], mode="eval")
        calls = ast.literal_eval(_Constants().visit(tree))
        if not isinstance(calls, list) or not calls or not all(isinstance(call, list) for call in calls):
            raise ValueError("they are not a list of lists")
        return calls
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise DataError(f"{name}: its inputs cannot be read ({str(error).splitlines()[0][:80]})") from error


class _Constants(ast.NodeTransformer):
    """The names of floats that have no literal."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(_CONSTANTS[node.id]) if node.id in _CONSTANTS else node
