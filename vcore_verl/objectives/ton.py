"""Thought dropout (TON, arXiv 2505.16854): plain SFT on traces of which a share has lost its thought.

The model learns to answer at once as well as after a thought, and RL may choose. Source: kokolerk/TON,
src/eval/aitz_evaluate/sft_grpo_data.py:39-43, which draws without a seed; here a hash decides for each example, and
what is dropped at one share is dropped at every larger one.
"""

import hashlib
from typing import Annotated

import torch

from vcore_verl.objectives.registry import Tokens, Weighting, register, rewrites
from vcore_verl.setting import Setting

THINK, END_THINK, BOX = "<think>", "</think>", "\\boxed{"


@register("ton")
def weigh(
    tokens: Tokens,
    *,
    dropout: Annotated[
        float, Setting("share of the traces that lose their thought", low=0.0, high=1.0, source="arXiv 2505.16854")
    ] = 0.5,
) -> Weighting:
    """w_t = 1: `dropout` acts on the traces."""
    return Weighting(torch.ones_like(tokens.loss_T))


@rewrites("ton")
def dropped(response: str, example: int, seed: int, *, dropout: float) -> str:
    """The response, without its thought if the example's hash says so."""
    digest = hashlib.sha256(f"{seed}:{example}".encode()).hexdigest()
    return without_thought(response) if int(digest[:8], 16) / 2**32 < dropout else response


def without_thought(response: str) -> str:
    """The response with an empty thought, as Qwen3's template writes it if the thought begins a line of its own; one
    without <think> begins at its last box. Raises ValueError if it has neither.
    """
    start, end = response.find(THINK) + len(THINK), response.find(END_THINK)
    if THINK in response and end >= start:
        return response[:start] + "\n\n" * response[start:].startswith("\n") + response[end:]
    if BOX not in response:
        raise ValueError(f"init=ton finds neither {THINK} nor {BOX}}} in the response that begins {response[:60]!r}")
    return response[response.rindex(BOX) :]
