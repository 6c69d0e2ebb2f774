"""The file for verl's `reward.custom_reward_function.path`.

verl executes the file again by its path, so it holds no state. It adds only numbers to the score: in validation verl
averages the numbers in `reward_extra_info` and skips text (verl 0.9.1 trainer/ppo/metric_utils.py:1004-1008). verl
requires the same keys in every row (experimental/agent_loop/agent_loop.py:1107-1111).
"""

from typing import Any

from reward.domain import Options, Scored
from reward.domains import COSTS, domain_of
from reward.health import status_counts
from reward.score import score_response, score_response_async


def compute_score(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: dict | None = None, **options: Any
) -> dict[str, Any]:
    """`reward.compute_score` with counts; called from threads. Options come from verl's `reward_kwargs`."""
    return _with_counts(data_source, score_response(data_source, solution_str, ground_truth, Options(**options)))


async def compute_score_async(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: dict | None = None, **options: Any
) -> dict[str, Any]:
    """The same, awaited by verl's reward worker in its event loop instead of in one of a few threads."""
    scored = await score_response_async(data_source, solution_str, ground_truth, Options(**options))
    return _with_counts(data_source, scored)


def _with_counts(data_source: str, scored: Scored) -> dict[str, Any]:
    return {
        **scored.as_dict(),
        "domain": domain_of(data_source).name,
        **status_counts(scored.status),
        "workers_replaced": float(scored.workers_replaced),
        "reward_seconds": scored.seconds,
        **{name: float(scored.costs.get(name.removeprefix("reward_"), 0.0)) for name in COSTS},
    }
