"""Scores of responses by the domain that their data source belongs to."""

from typing import Any

from reward.domain import Options, Score, Scored
from reward.domains import domain_of


def compute_score(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: dict | None = None, **options: Any
) -> Score:
    """Score one response. Safe to call from any number of threads.

    Args:
        data_source: determines the domain and how answers are written (`reward.mathematics.extraction.answer_style`).
        solution_str: the response, special tokens removed.
        ground_truth: mathematics: the accepted answer, or a list of them: str, int or float.
        extra_info: not used; part of verl's signature.
        options: fields of `Options`.

    Raises:
        ValueError: the ground truth is empty or of another type.
        RuntimeError: worker processes cannot be started.
    """
    return score_response(data_source, solution_str, ground_truth, Options(**options)).as_dict()


async def compute_score_async(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: dict | None = None, **options: Any
) -> Score:
    """`compute_score` for an event loop, which it blocks for milliseconds at most."""
    return (await score_response_async(data_source, solution_str, ground_truth, Options(**options))).as_dict()


def score_response(data_source: str, response: str, ground_truth: Any, options: Options) -> Scored:
    return domain_of(data_source).score(data_source, response, ground_truth, options)


async def score_response_async(data_source: str, response: str, ground_truth: Any, options: Options) -> Scored:
    return await domain_of(data_source).score_async(data_source, response, ground_truth, options)
