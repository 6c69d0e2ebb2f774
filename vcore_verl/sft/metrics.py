"""Metrics logged every step. Micro-batches contribute sums, so that no metric depends on how a batch was split.

Weight statistics are computed per sequence and averaged over the global batch's sequences that have supervised tokens.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vcore_verl.objectives import Tokens, Weighting
from vcore_verl.objectives.packed import expand, kl_from_uniform, lengths, sequence_mean, sequence_sum

_SUM, _MIN = "sum:", "min:"
# Prefixed as in verl's trainer (verl/trainer/sft_trainer.py:392).
_TRAIN = ("loss", "grad_norm", "lr", "mfu")


def batch_metrics(tokens: Tokens, weighting: Weighting) -> dict[str, float]:
    """Sums and minima over a micro-batch's sequences, for `step_metrics`."""
    cu = tokens.cu_seqlens_S1
    filled_S = lengths(cu) > 0
    total_S = sequence_sum(weighting.weights_T, cu)
    q_T = weighting.weights_T.double() / expand(total_S.where(total_S > 0, 1.0), cu)
    effective_S = (1 / sequence_sum(q_T.square(), cu)).where(total_S > 0, 0.0)
    columns = {
        "tokens": lengths(cu).double(),
        "sequences": filled_S.double(),
        "plain_loss": sequence_sum(tokens.loss_T, cu),
        "kl": kl_from_uniform(q_T, cu),
        "effective_tokens": effective_S,
        "effective_share": effective_S / lengths(cu).clamp(min=1),
        "top1_share": _top_share(q_T, cu, 0.01),
        "top10_share": _top_share(q_T, cu, 0.10),
        "answer_weight": sequence_sum(q_T * tokens.answer_T, cu),
        "answer_tokens": sequence_mean(tokens.answer_T, cu),
    }
    if weighting.alpha_S is not None:
        columns["alpha"] = weighting.alpha_S * filled_S
    if tokens.utility_T is not None:
        columns["utility"] = sequence_mean(tokens.utility_T, cu)
        columns["utility_square"] = sequence_mean(tokens.utility_T.double().square(), cu)
    sums = torch.stack([column.sum() for column in columns.values()]).tolist()
    metrics = {_SUM + name: value for name, value in zip(columns, sums, strict=True)}
    if weighting.alpha_S is not None:
        metrics[_MIN + "alpha"] = float(weighting.alpha_S[filled_S].min()) if bool(filled_S.any()) else 1.0
    return metrics


def _top_share(q_T: Tensor, cu_seqlens_S1: Tensor, share: float) -> Tensor:
    """Fraction of each sequence's weight on its ceil(share * n) heaviest tokens, shape (S,)."""
    n_S = lengths(cu_seqlens_S1)
    owner_T = expand(torch.arange(len(n_S), device=q_T.device), cu_seqlens_S1)
    by_weight = q_T.argsort(descending=True, stable=True)
    order = by_weight[owner_T[by_weight].argsort(stable=True)]
    rank_T = torch.arange(len(q_T), device=q_T.device) - expand(cu_seqlens_S1[:-1], cu_seqlens_S1)
    heaviest_T = rank_T < expand((n_S * share).ceil(), cu_seqlens_S1)
    return sequence_sum(q_T[order] * heaviest_T, cu_seqlens_S1)


def step_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Reduce a step's metrics from verl, (nested) lists over ranks and micro-batches, to scalars."""
    scalars, sums, minima = {}, {}, {}
    for key, value in metrics.items():
        if key.startswith(_SUM):
            sums[key.removeprefix(_SUM)] = sum(_flat(value))
        elif key.startswith(_MIN):
            minima[f"weights/{key.removeprefix(_MIN)}_min"] = min(_flat(value))
        else:
            scalars[f"train/{key}" if key in _TRAIN else key] = value
    count = max(sums.pop("sequences"), 1.0)
    scalars["train/plain_loss"] = sums.pop("plain_loss") / sums["tokens"]
    scalars["train/supervised_tokens"] = sums.pop("tokens")
    if "utility" in sums:
        scalars["utility/mean"] = sums.pop("utility") / count
        scalars["utility/rms"] = math.sqrt(sums.pop("utility_square") / count)
    return scalars | {f"weights/{name}": value / count for name, value in sums.items()} | minima


def _flat(value: Any) -> list[float]:
    return [x for item in value for x in _flat(item)] if isinstance(value, list) else [value]
