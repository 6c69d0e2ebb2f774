"""Runs programs while data are prepared, in the jail and with the limits that RL will have. Imports no torch."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any

from reward.code.jail import Jail, JailUnavailable, Limits, PythonProgram
from reward.code.score import runner
from reward.code.store import put
from reward.code.verdict import judge_program
from reward.domain import Options
from vcore_verl.config.recipe import Recipe, RecipeError
from vcore_verl.data.code.evalplus import Values
from vcore_verl.data.code.problem import CodeProblem, Passes
from vcore_verl.data.sources import Example

_NOT_STORED = "0" * 64
CPP = (":cpp", "_cpp")  # how the name of a source or benchmark of C++ problems ends


def check(recipe: Recipe) -> str:
    """What runs the recipe's programs. Raises `RecipeError` if nothing can on this machine."""
    if recipe.code.fusion_url is not None:
        return f"run by Sandbox Fusion at {recipe.code.fusion_url}"
    try:
        used = runner(Options(jail=recipe.code.jail))
    except JailUnavailable as error:
        raise RecipeError(f"code.jail={recipe.code.jail}: {error}: code.fusion_url=URL") from error
    benchmarks = (("evaluation.datasets", name) for name in recipe.evaluation.datasets)
    for key, name in (("data.rl", recipe.data.rl), *benchmarks):
        if name.endswith(CPP) and which("g++") is None:
            raise RecipeError(f"{key}={name} needs g++, which is not on the PATH: install it")
    assert isinstance(used, Jail)
    return f"run in a jail of kind {used.tier}"


def passes(recipe: Recipe, every_test: bool = False) -> Passes:
    """Whether a Python program passes the tests that RL would run, or all, as in evaluation."""
    max_tests = None if every_test else recipe.code.max_tests
    run_by = runner(Options(jail=recipe.code.jail, fusion_url=recipe.code.fusion_url))

    def judged(problem: CodeProblem, solution: str) -> bool:
        reference = replace(problem.reference(_NOT_STORED), language="python")
        return judge_program(solution, reference, problem.tests, run_by, max_tests).status == "correct"

    return judged


def values(recipe: Recipe) -> Values:
    """What a program's function returns on typed inputs; None where it fails or exceeds the default limits."""
    run_by = runner(Options(jail=recipe.code.jail, fusion_url=recipe.code.fusion_url))

    def returned(program: str, function: str, inputs: Sequence[str]) -> list[str | None]:
        called = PythonProgram(program, function, typed=True, prelude=True)
        runs = (run_by.run(called, given.encode(), Limits()) for given in inputs)
        return [run.value.decode() if run.ending == "finished" and run.value else None for run in runs]

    return returned


def ground_truth(example: Example, tests: Path) -> Any:
    """What the reward compares with: the answer, or a reference to tests, which are put into the folder `tests`."""
    if example.candidate is None:
        return example.answer
    problem = example.candidate.problem
    assert problem is not None, "a candidate is tried before it is chosen"
    return problem.reference(put(tests, problem.tests)).dumps()
