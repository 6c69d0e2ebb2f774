"""The placebo of an objective: its own weights, on tokens that chance has chosen.

It has the spread of the objective's weights, sequence by sequence, and none of their meaning. What the objective does
better than its placebo is due to where it puts the weight.
"""

from dataclasses import replace

import torch

from vcore_verl.objectives.packed import lengths
from vcore_verl.objectives.registry import Tokens, Weighting


def shuffled(weighting: Weighting, tokens: Tokens, step: int) -> Weighting:
    """`weighting` with the weights of each sequence permuted.

    The permutation is a function of the run's seed, the step and the example, so that it does not depend on
    micro-batches, packing or ranks.
    """
    counts = lengths(tokens.cu_seqlens_S1).tolist()
    rows = [
        row[_permutation(len(row), tokens.seed, step, int(example)).to(row.device)]
        for row, example in zip(weighting.weights_T.split(counts), tokens.example_S, strict=True)
    ]
    return replace(weighting, weights_T=torch.cat(rows))


def _permutation(count: int, seed: int, step: int, example: int) -> torch.Tensor:
    mixed = (seed * 1_000_003 + step) * 1_000_003 + example
    return torch.randperm(count, generator=torch.Generator().manual_seed(mixed % 2**63))
