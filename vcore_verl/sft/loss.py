"""The weighted token loss with the signature of verl's loss functions (verl/workers/utils/losses.py:28).

Legend: P = all tokens of a micro-batch packed, prompts included; T = its supervised tokens; S = its sequences.

Two alignments meet here. At position j, data fields (`loss_mask`, `answer_mask`, `kind`) describe token j and model
outputs token j + 1. Everything below uses the model's alignment: data fields are rolled by one, as in verl's
`sft_loss`. A sequence's last output has no token to predict and is never supervised, since the roll puts the next
prompt's first 0 there.
"""

from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor
from verl.utils.torch_functional import masked_sum

from vcore_verl.objectives import Losses, Objective, Tokens, Weighting, build, shuffled
from vcore_verl.sft.metrics import batch_metrics

UNIFORM = build("sft", {})


class NonFiniteLossError(FloatingPointError):
    """A token loss is NaN or infinite; the message names step and example."""


@dataclass
class Selection:
    """Mask (bool) of the supervised outputs among all P, and the offsets of the sequences within those T."""

    supervised_P: Tensor
    cu_seqlens_S1: Tensor

    @classmethod
    def of(cls, data: TensorDict) -> "Selection":
        supervised_P = _rolled(data["loss_mask"]).bool()
        offsets_S1 = data["loss_mask"].offsets()
        before_P1 = torch.nn.functional.pad(supervised_P.cumsum(0), (1, 0))
        return cls(supervised_P, before_P1[offsets_S1])


def global_losses(log_probs: Tensor, data: TensorDict, dp_group: Any) -> Losses:
    """Losses of all ranks' supervised tokens, from this rank's log p of each next token, nested (B, L) like `data`."""
    selection = Selection.of(data)
    loss_T = -log_probs.values().cpu()[selection.supervised_P.cpu()].float()
    mine = (loss_T, selection.cu_seqlens_S1.diff().cpu())
    parts = [mine] * torch.distributed.get_world_size(dp_group)
    torch.distributed.all_gather_object(parts, mine, group=dp_group)
    losses, counts = (torch.cat(column).to(log_probs.device) for column in zip(*parts, strict=True))
    return Losses(losses, torch.nn.functional.pad(counts.cumsum(0), (1, 0)))


def _rolled(field: Tensor) -> Tensor:
    return torch.roll(field.values(), shifts=-1, dims=0)


class WeightedLoss:
    """`sum_i sum_t w_it l_it / N * dp_size`, N = supervised tokens of the global batch (verl's `batch_num_tokens`).

    FSDP averages gradients over ranks, hence dp_size. With w = 1 the result equals that of verl's `sft_loss` bit for
    bit.
    """

    def __init__(self, objective: Objective, seed: int, placebo: bool = False):
        self.objective, self.seed, self.placebo = objective, seed, placebo
        self.step = 0
        self.half_cosine: float | None = None  # of this step's probe
        self.batch: Losses | None = None  # of this step

    def __call__(self, model_output: dict[str, Tensor], data: TensorDict, dp_group: Any = None) -> tuple[Tensor, dict]:
        log_prob_P = model_output["log_probs"].values()
        selection = Selection.of(data)
        tokens = self.tokens(log_prob_P.detach(), selection, data)
        weighting = self.weigh(tokens)
        weights_P = torch.ones_like(log_prob_P, dtype=torch.float32)
        weights_P[selection.supervised_P] = weighting.weights_T
        loss = (
            -masked_sum(log_prob_P * weights_P, _rolled(data["loss_mask"])) / data["batch_num_tokens"] * data["dp_size"]
        )
        return loss, batch_metrics(tokens, weighting)

    def weigh(self, tokens: Tokens) -> Weighting:
        """The objective's weights: shuffled for a placebo, uniform between probes (`probe.every`)."""
        unprobed = "utility" in self.objective.needs and tokens.utility_T is None
        weighting = (UNIFORM if unprobed else self.objective).weigh(tokens)
        return shuffled(weighting, tokens, self.step) if self.placebo else weighting

    def tokens(self, log_prob_P: Tensor, selection: Selection, data: TensorDict) -> Tokens:
        """The supervised tokens of a micro-batch. Raises `NonFiniteLossError`."""
        loss_T = -log_prob_P[selection.supervised_P].float()
        example_S = data["index"].values()
        if not bool(torch.isfinite(loss_T).all()):
            at = int((~torch.isfinite(loss_T)).nonzero()[0])
            owner = int(torch.searchsorted(selection.cu_seqlens_S1, at, right=True)) - 1
            raise NonFiniteLossError(
                f"step {self.step}: the loss of training example {int(example_S[owner])} is {float(loss_T[at])} "
                f"at supervised token {at - int(selection.cu_seqlens_S1[owner])}; "
                "lower sft.learning_rate, or look at that example"
            )
        return Tokens(
            loss_T=loss_T,
            cu_seqlens_S1=selection.cu_seqlens_S1,
            example_S=example_S,
            answer_T=_rolled(data["answer_mask"])[selection.supervised_P].bool(),
            reference_T=_field(data, "reference_log_probs", selection),
            utility_T=self._utility(loss_T, selection, data),
            kind_T=_rolled(data["kind"])[selection.supervised_P] if "kind" in data else None,
            entropy_T=_field(data, "entropy", selection),
            half_cosine=self.half_cosine,
            batch=self.batch,
            old_T=_field(data, "old_log_probs", selection),
            behaviour_T=_rolled(data["behaviour"])[selection.supervised_P] if "behaviour" in data else None,
            seed=self.seed,
        )

    @staticmethod
    def _utility(loss_T: Tensor, selection: Selection, data: TensorDict) -> Tensor | None:
        """s_t from the probe, or as the forward difference between the probe's losses and those of this pass."""
        perturbed_T = _field(data, "perturbed_log_probs", selection)
        if perturbed_T is None:
            return _field(data, "utility", selection)
        return (loss_T + perturbed_T) / data["epsilon"]


def _field(data: TensorDict, key: str, selection: Selection) -> Tensor | None:
    """A nested field of model outputs at the supervised positions, float32; None if the batch does not have it."""
    return data[key].values()[selection.supervised_P].float() if key in data else None
