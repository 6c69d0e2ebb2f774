"""A reward function of the user in place of this project's: the recipe's `reward_file`, for RL and for evaluation.

verl executes this file by its path (`reward.custom_reward_function.path`); evaluation imports it.
"""

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from reward.domain import STATUSES
from reward.domains import COSTS, domain_of
from reward.health import status_counts

FUNCTION = "compute_score"


def compute_score(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: dict | None = None, *, file: str
) -> dict[str, Any]:
    """Call `compute_score` of `file`, awaited if it is `async`, and complete what it returns; see `completed`."""
    started = time.monotonic()
    found = load(file)(data_source, solution_str, ground_truth, extra_info)
    if inspect.iscoroutine(found):
        found = asyncio.run(found)
    return completed(data_source, found, file, time.monotonic() - started)


async def compute_score_async(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: dict | None = None, *, file: str
) -> dict[str, Any]:
    """The same for verl's event loop; a function that is not `async` runs in a thread."""
    started = time.monotonic()
    call = partial(load(file), data_source, solution_str, ground_truth, extra_info)
    if inspect.iscoroutinefunction(load(file)):
        found = await call()
    else:
        found = await asyncio.get_running_loop().run_in_executor(None, call)
    return completed(data_source, found, file, time.monotonic() - started)


@cache
def load(file: str) -> Callable[..., Any]:
    """`compute_score` of the Python file `file`."""
    spec = spec_from_file_location(Path(file).stem, file)
    assert spec is not None and spec.loader is not None, file
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, FUNCTION)


def completed(data_source: str, found: Any, file: str, seconds: float) -> dict[str, Any]:
    """A number, or a dictionary with at least `score`, completed by `acc`, `status`, `extracted` and the counts that
    this project's reward returns. Other keys are kept.

    `acc` is `score` if it is not given; it must be 0 or 1, as evaluation counts correct responses.

    Raises:
        ValueError: there is no score, or `acc` or `status` has another value.
    """
    row = dict(found) if isinstance(found, Mapping) else {"score": found}
    try:
        row["score"] = float(row["score"])
        row["acc"] = float(row.get("acc", row["score"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file}: {FUNCTION} returned {found!r}: return a number, or a dictionary with score"
        ) from error
    if row["acc"] not in (0.0, 1.0):
        raise ValueError(f"{file}: {FUNCTION} returned acc={row['acc']:g}: return acc 0 or 1 (correct) beside score")
    row.setdefault("status", "correct" if row["acc"] else "wrong")
    if row["status"] not in STATUSES:
        raise ValueError(f"{file}: {FUNCTION} returned status={row['status']!r}: use one of {', '.join(STATUSES)}")
    row.setdefault("extracted", "")
    row["domain"] = domain_of(data_source).name
    costs = {"workers_replaced": 0.0, "reward_seconds": seconds} | dict.fromkeys(COSTS, 0.0)
    return row | status_counts(row["status"]) | costs
