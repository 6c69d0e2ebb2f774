"""Programming problems -> rows that refer to their tests, which are put on disk."""

from pathlib import Path

from reward.code.store import put
from vcore_verl.data.benchmarks.declaration import Problem
from vcore_verl.data.code.ojbench import MAX_BYTES
from vcore_verl.data.code.problem import CodeProblem
from vcore_verl.data.hub import DataError

_MAX_STORED_BYTES = 2 * MAX_BYTES  # as JSON, where a line's end is two characters


def stored(problem: CodeProblem, tests: Path) -> Problem:
    """The row of the problem, with its tests in the folder `tests`. Raises `DataError` for tests that are no text."""
    try:
        sha = "" if problem.unjudged else put(tests, problem.tests, _MAX_STORED_BYTES)
    except ValueError as error:
        raise DataError(f"{problem.problem_id}: {error}") from error
    return Problem(problem.problem_id, problem.prompt, problem.reference(sha).dumps(), problem.unjudged)
