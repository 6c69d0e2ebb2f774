import pytest
import torch

from vcore_verl.objectives import Tokens, build
from vcore_verl.objectives.kinds import KINDS


def tokens(kind_T: torch.Tensor | None) -> Tokens:
    count = len(KINDS)
    return Tokens(
        loss_T=torch.ones(count),
        cu_seqlens_S1=torch.tensor([0, count]),
        example_S=torch.tensor([0]),
        answer_T=torch.zeros(count, dtype=torch.bool),
        kind_T=kind_T,
    )


def test_the_oracle_gives_noise_no_weight_and_all_else_one():
    weights_T = build("oracle", {}).weigh(tokens(torch.arange(len(KINDS)))).weights_T
    found = dict(zip(KINDS, weights_T.tolist(), strict=True))
    assert {kind for kind, weight in found.items() if weight == 0.0} == {"filler", "mistake", "false_start", "leak"}
    assert {weight for weight in found.values()} == {0.0, 1.0}
    assert weights_T.dtype == torch.float32


def test_without_kinds_it_says_what_is_missing():
    with pytest.raises(ValueError, match="needs kind_T"):
        build("oracle", {}).weigh(tokens(None))
