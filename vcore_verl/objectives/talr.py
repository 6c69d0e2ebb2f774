"""Token-adaptive loss reweighting (TALR, arXiv 2509.20758): w_t = max(p(y_t)^(1 / tau), floor).

tau is the batch's median loss: the lower the loss, the more an improbable token is weighed down. The weights minimise
sum w l + tau sum w log w. No code was released; reimplementations read the median as one over tokens or over the mean
losses of sequences. As in them, the weights are not normalised.
"""

from typing import Annotated

import torch
from torch import Tensor

from vcore_verl.objectives.packed import sequence_mean
from vcore_verl.objectives.registry import Tokens, Weighting, register
from vcore_verl.setting import Setting

LEAST = 1e-6  # nats of tau: a batch that the model knows by heart has median 0


@register("talr", needs=("batch",))
def weigh(
    tokens: Tokens,
    *,
    median: Annotated[str, Setting("what tau is the median of", choices=("sequence", "token"))] = "sequence",
    floor: Annotated[float, Setting("smallest weight", low=0.0, high=1.0, source="reimplementations")] = 0.01,
) -> Weighting:
    """w_t in [floor, 1]."""
    batch = tokens.needed("batch")
    losses = batch.loss_T if median == "token" else sequence_mean(batch.loss_T, batch.cu_seqlens_S1)
    tau = _median(losses).clamp(min=LEAST)
    return Weighting(torch.exp(-tokens.loss_T / tau).clamp(min=floor).float())


def _median(values: Tensor) -> Tensor:
    """With the mean of the middle two of an even number; torch.median takes the lower."""
    ordered, count = values.double().sort().values, len(values)
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
