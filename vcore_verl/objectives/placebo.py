"""The placebo of an objective: the same weights, assigned to random tokens.

Within each sequence it keeps the distribution of the objective's weights, but not their placement. Any advantage of the
objective over its placebo is due to placement.
"""

from dataclasses import replace

import torch

from vcore_verl.objectives.packed import lengths
from vcore_verl.objectives.registry import Tokens, Weighting


def shuffled(weighting: Weighting, tokens: Tokens, step: int) -> Weighting:
    """`weighting` with the weights of each sequence permuted.

    The permutation depends only on the run's seed, the step and the example, not on micro-batches, packing or ranks.
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
