"""VCORE's controls and candidates: the same distance from uniform by other scores."""

from dataclasses import replace

import pytest
import torch

from vcore_verl.objectives import Tokens, build
from vcore_verl.objectives.packed import kl_from_uniform, sequence_sum

LOSS_T = torch.tensor([0.5, 2.0, 0.1, 1.0, 3.0, 0.2, 0.7])
TOKENS = Tokens(
    loss_T=LOSS_T,
    cu_seqlens_S1=torch.tensor([0, 4, 7]),
    example_S=torch.arange(2),
    answer_T=torch.zeros(7, dtype=torch.bool),
    utility_T=torch.tensor([0.3, -0.1, 0.2, 0.9, 0.5, -0.4, 0.1]),
    half_cosine=0.5,
)
SCORES = {
    "vcore_loss": LOSS_T,
    "vcore_negated": torch.tensor([-0.3, 0.1, -0.2, -0.9, -0.5, 0.4, -0.1]),
    "vcore_normalised": torch.tensor([0.7624482, -0.1156518, 2.1016664, 1.4237790, 0.5261978, -2.2066622, 0.1986434]),
}


def distances(name: str, tokens: Tokens, kl_budget: float = 0.1) -> list[float]:
    """KL from uniform of each sequence's weights."""
    weights_T = build(name, {"kl_budget": kl_budget}).weigh(tokens).weights_T
    total_S = sequence_sum(weights_T, tokens.cu_seqlens_S1)
    q_T = weights_T / total_S.repeat_interleave(tokens.cu_seqlens_S1.diff())
    return kl_from_uniform(q_T, tokens.cu_seqlens_S1).tolist()


@pytest.mark.parametrize("name", ["vcore", *SCORES])
def test_all_are_as_far_from_uniform_as_vcore(name):
    assert distances(name, TOKENS) == pytest.approx([0.1, 0.1], abs=1e-5)


def test_the_budget_follows_the_agreement_of_the_halves():
    assert distances("vcore_half_cosine", TOKENS) == pytest.approx([0.05, 0.05], abs=1e-5)
    assert distances("vcore_half_cosine", replace(TOKENS, half_cosine=-0.2)) == pytest.approx([0, 0], abs=1e-9)
    agreed = build("vcore_half_cosine", {"kl_budget": 0.1}).weigh(replace(TOKENS, half_cosine=1.0))
    assert torch.equal(agreed.weights_T, build("vcore", {"kl_budget": 0.1}).weigh(TOKENS).weights_T)
    with pytest.raises(ValueError, match="needs half_cosine"):
        build("vcore_half_cosine", {}).weigh(replace(TOKENS, half_cosine=None))


@pytest.mark.parametrize("name", SCORES)
def test_they_are_vcore_by_another_score(name):
    found = build(name, {}).weigh(TOKENS)
    expected = build("vcore", {"kl_budget": 0.1}).weigh(replace(TOKENS, utility_T=SCORES[name]))
    torch.testing.assert_close(found.weights_T, expected.weights_T)
    torch.testing.assert_close(found.alpha_S, expected.alpha_S)


def test_the_normalised_utility_of_a_certain_token_is_finite():
    certain = replace(TOKENS, loss_T=torch.zeros(7))
    assert build("vcore_normalised", {}).weigh(certain).weights_T.isfinite().all()
