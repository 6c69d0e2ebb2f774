"""The paper's Random baseline (appendix C.2): a fixed fifth of the supervised tokens, always including the boxed
answer.

The paper does not say how the loss is normalized; here it is divided by all supervised tokens, as for every objective.
"""

from typing import Annotated

import torch
from torch import Tensor

from vcore_verl.objectives.packed import lengths
from vcore_verl.objectives.registry import Tokens, Weighting, register
from vcore_verl.setting import Setting


def keep_mask(answer: Tensor, keep: float, seed: int, example: int) -> Tensor:
    """Mask of the tokens kept among one example's n supervised tokens, bool of shape (n,).

    Keeps max(round(keep * n), answer tokens): those where `answer` is true, the rest drawn uniformly without
    replacement. The generator is seeded with (seed, example), so an example keeps the same tokens in every epoch.
    """
    generator = torch.Generator().manual_seed((seed * 1_000_003 + example) % 2**63)
    rank = torch.randperm(len(answer), generator=generator)
    rank[answer.cpu()] = -1
    count = max(round(keep * len(answer)), int(answer.sum()))
    mask = torch.zeros(len(answer), dtype=torch.bool)
    mask[rank.argsort(stable=True)[:count]] = True
    return mask


@register("random", colour="#E69F00", marker="v", compared=True)
def weigh(
    tokens: Tokens,
    *,
    keep: Annotated[
        float, Setting("share of tokens that are trained on", above=0.0, high=1.0, source="paper, appendix C.2")
    ] = 0.2,
) -> Weighting:
    """w_t = 1 for kept tokens, else 0."""
    answers = tokens.answer_T.split(lengths(tokens.cu_seqlens_S1).tolist())
    masks = [
        keep_mask(answer, keep, tokens.seed, int(example))
        for answer, example in zip(answers, tokens.example_S, strict=True)
    ]
    return Weighting(torch.cat(masks).to(tokens.loss_T))
