"""The baselines' weights by hand: sft, dft, iw_sft, random."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vcore_verl.objectives import Tokens, build, names
from vcore_verl.objectives.random import keep_mask

TOKENS = Tokens(
    loss_T=torch.tensor([math.log(2), math.log(4), 1.0, 3.0]),
    cu_seqlens_S1=torch.tensor([0, 2, 2, 4]),
    example_S=torch.tensor([7, 8, 9]),
    answer_T=torch.tensor([False, True, False, False]),
    reference_T=torch.tensor([-math.log(2), -math.log(4), -2.0, -3.0]),
)


def test_all_objectives_are_found():
    assert set(names()) >= {"sft", "dft", "iw_sft", "random", "vcore", "vcore_paper"}


def test_unknown_objective_lists_the_known():
    with pytest.raises(ValueError, match="unknown objective 'vcor': choose one of chord_phi, dft"):
        build("vcor", {})


def test_sft_weighs_every_token_alike():
    assert build("sft", {}).weigh(TOKENS).weights_T.tolist() == [1.0] * 4


def test_dft_weighs_by_probability():
    weights = build("dft", {}).weigh(TOKENS).weights_T
    torch.testing.assert_close(weights, torch.tensor([0.5, 0.25, math.exp(-1), math.exp(-3)]))


def test_iw_sft_weighs_sequences_by_their_mean_ratio():
    # Sequence 1 is as likely as at the start; in sequence 3 the log-ratios are 1 and 0.
    weights = build("iw_sft", {}).weigh(TOKENS).weights_T
    torch.testing.assert_close(weights, torch.tensor([1.0, 1.0, math.exp(0.5), math.exp(0.5)]))


def test_iw_sft_by_token_is_clipped():
    weights = build("iw_sft", {"level": "token"}).weigh(TOKENS).weights_T
    torch.testing.assert_close(weights, torch.tensor([1.0, 1.0, 1.8, 1.0]))


def test_iw_sft_sequence_weight_is_clipped_at_16():
    likely = Tokens(
        torch.tensor([0.0]), torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([False]), torch.tensor([-9.0])
    )
    assert build("iw_sft", {}).weigh(likely).weights_T.tolist() == [16.0]


def test_iw_sft_without_reference_says_what_is_missing():
    bare = Tokens(TOKENS.loss_T, TOKENS.cu_seqlens_S1, TOKENS.example_S, TOKENS.answer_T)
    with pytest.raises(ValueError, match="needs reference"):
        build("iw_sft", {}).weigh(bare)


def test_a_setting_that_an_objective_does_not_have_is_named():
    with pytest.raises(ValueError, match=r"init\.keep is not a setting of iw_sft, which has level"):
        build("iw_sft", {"keep": 0.5})


@given(
    st.lists(st.booleans(), min_size=1, max_size=200),
    st.floats(0.05, 1.0),
    st.integers(0, 10),
    st.integers(0, 10**6),
)
def test_random_keeps_the_answer_and_the_share(answer: list[bool], keep: float, seed: int, example: int):
    mask = keep_mask(torch.tensor(answer), keep, seed, example)
    assert int(mask.sum()) == max(round(keep * len(answer)), sum(answer))
    assert all(kept for kept, is_answer in zip(mask.tolist(), answer, strict=True) if is_answer)


def test_random_is_fixed_per_example_and_differs_between_examples_and_seeds():
    answer = torch.zeros(50, dtype=torch.bool)
    first = keep_mask(answer, 0.2, seed=0, example=1)
    assert torch.equal(first, keep_mask(answer, 0.2, seed=0, example=1))
    assert not torch.equal(first, keep_mask(answer, 0.2, seed=0, example=2))
    assert not torch.equal(first, keep_mask(answer, 0.2, seed=1, example=1))


def test_random_draws_every_position_equally_often():
    masks = torch.stack([keep_mask(torch.zeros(10, dtype=torch.bool), 0.2, 0, example) for example in range(2000)])
    # 2,000 draws of probability 0.2: standard error 0.009.
    torch.testing.assert_close(masks.float().mean(0), torch.full((10,), 0.2), atol=0.04, rtol=0)


def test_random_does_not_depend_on_the_batch_around_an_example():
    weigh = build("random", {"keep": 0.5}).weigh
    alone = Tokens(TOKENS.loss_T[2:], torch.tensor([0, 2]), torch.tensor([9]), TOKENS.answer_T[2:], seed=3)
    assert weigh(alone).weights_T.tolist() == weigh(replace(TOKENS, seed=3)).weights_T[2:].tolist()
