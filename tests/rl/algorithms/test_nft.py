"""NFT's loss, against the formula and against Dr. GRPO's in verl."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from verl.trainer.ppo.core_algos import compute_policy_loss_vanilla, get_policy_loss_fn
from verl.workers.config import FSDPActorConfig

from vcore_verl.rl.algorithms import build
from vcore_verl.rl.hooks import policy_loss


def at(rate: float, ratio: float, correct: bool, epsilon: float = 1.0) -> tuple[float, float]:
    """Loss of a token without the prompt's weight 1 - q, and its slope by log pi, in float64."""
    log_ratio = torch.tensor([ratio], dtype=torch.float64).log().requires_grad_()
    advantage = torch.tensor([1 - rate if correct else -rate], dtype=torch.float64)
    loss = build("nft", {"epsilon": epsilon}).token_loss(log_ratio, advantage) / (1 - rate)
    (slope,) = torch.autograd.grad(loss.sum(), log_ratio)
    return loss.item(), slope.item()


@pytest.mark.parametrize(
    ("rate", "ratio", "epsilon", "loss_correct", "loss_wrong", "slope_wrong"),
    [
        (0.25, 0.8, 1.0, 0.2231435513, -0.0645385211, 0.25),
        (0.25, 1.0, 1.0, 0.0, 0.0, 1 / 3),
        (0.25, 1.2, 1.0, -0.1823215568, 0.0, 0.4),
        (0.25, 1.2, 0.1, -0.1823215568, 0.0689928715, 0.4285714286),
        (0.75, 1.2, 1.0, -0.1823215568, 0.0, 3.6),
        (0.75, 1.2, 0.1, -0.1823215568, 0.9162907319, 9.0),
    ],
)
def test_the_loss_is_the_papers(rate, ratio, epsilon, loss_correct, loss_wrong, slope_wrong):
    assert at(rate, ratio, True, epsilon) == pytest.approx((loss_correct, -1.0), abs=1e-9)
    assert at(rate, ratio, False, epsilon) == pytest.approx((loss_wrong, slope_wrong), abs=1e-9)


def test_a_group_of_four_has_the_losses_of_the_reference():
    log_ratio = torch.tensor([[0.2], [0.2], [-0.2], [0.0]], dtype=torch.float64, requires_grad=True)
    advantage = torch.tensor([[0.75], [-0.25], [-0.25], [-0.25]], dtype=torch.float64)
    losses = build("nft", {}).token_loss(log_ratio, advantage)
    (slopes,) = torch.autograd.grad(losses.sum(), log_ratio)
    assert losses.flatten().tolist() == pytest.approx([-0.15, 0, -0.0440009721, 0], abs=1e-9)
    assert slopes.flatten().tolist() == pytest.approx([-0.75, 0.3053506895, 0.1930198348, 0.25], abs=1e-9)


def gradient(loss_fn, old, shift, advantages, mask):
    """By log pi, as verl's workers call a loss; responses sum to less than the mini-batch's constants."""
    config = FSDPActorConfig(
        strategy="fsdp2", ppo_micro_batch_size_per_gpu=1, rollout_n=4, clip_ratio_low=0.2, clip_ratio_high=0.2
    )
    config.global_batch_info.update(
        dp_size=1, batch_num_tokens=int(mask.sum()), global_batch_size=len(mask), loss_scale_factor=128
    )
    log_prob = (old + shift).requires_grad_()
    loss, _ = loss_fn(old, log_prob, advantages, mask, "seq-mean-token-sum-norm", config)
    return torch.autograd.grad(loss, log_prob)[0]


def batch(rewards: list[int], seed: int):
    rewards_B = torch.tensor(rewards, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(len(rewards), 6, generator=generator) < 0.8
    old = torch.rand(len(rewards), 6, generator=generator).log()
    return old, (rewards_B - rewards_B.mean())[:, None] * mask, mask


@given(st.lists(st.integers(0, 1), min_size=2, max_size=16), st.integers(0, 99))
def test_on_the_old_policy_it_is_dr_grpo_exactly(rewards, seed):
    """Every accuracy, uniform groups too: one mini-batch a step makes the ratio 1."""
    old, advantages, mask = batch(rewards, seed)
    nft = gradient(policy_loss(build("nft", {})), old, 0.0, advantages, mask)
    dr_grpo = gradient(compute_policy_loss_vanilla, old, 0.0, advantages, mask)
    torch.testing.assert_close(nft, dr_grpo, rtol=1e-5, atol=0)


def test_off_the_old_policy_correct_answers_keep_their_weight_and_wrong_ones_gain_with_the_ratio():
    """A second mini-batch of a step sees another policy than the one that answered."""
    old, advantages, mask = batch([1, 0, 0, 0], seed=0)
    nft = [gradient(policy_loss(build("nft", {})), old, shift, advantages, mask) for shift in (-0.1, 0.1)]
    dr_grpo = [gradient(compute_policy_loss_vanilla, old, shift, advantages, mask) for shift in (-0.1, 0.1)]
    torch.testing.assert_close(nft[0][0], nft[1][0])
    assert torch.all((nft[1] > nft[0])[1:][mask[1:]])
    for ours, theirs in zip(nft, dr_grpo, strict=True):
        assert not torch.allclose(ours[mask], theirs[mask], rtol=0.01, atol=0)


def test_a_loss_is_multiplied_by_the_weights_of_rollout_correction():
    old, advantages, mask = batch([1, 0, 0, 1], seed=3)
    config = SimpleNamespace(global_batch_info={})
    loss = policy_loss(build("nft", {}))
    plain, _ = loss(old, old - 0.3, advantages, mask, "token-mean", config)
    weighted, _ = loss(old, old - 0.3, advantages, mask, "token-mean", config, torch.full_like(old, 0.5))
    torch.testing.assert_close(weighted, plain / 2)


def test_rafts_likelihood_and_its_clipped_ratio_have_one_gradient_at_the_old_policy():
    old, _, mask = batch([1, 0, 0, 1], seed=1)
    accepted = torch.tensor([1.0, 0, 0, 1])[:, None] * mask
    found = [gradient(get_policy_loss_fn(mode), old, 0.0, accepted, mask) for mode in ("gpg", "vanilla")]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize(
    ("ratio", "advantage", "high", "expected"),
    [(0.7, 1, 0.2, -0.7), (0.7, -1, 0.2, 0.8), (1.25, 1, 0.2, -1.2), (1.5, -1, 0.2, 1.5), (1.5, 1, 0.28, -1.28)],
)
def test_raft_pp_clips_as_the_paper_says(ratio, advantage, high, expected):
    config = FSDPActorConfig(
        strategy="fsdp2", ppo_micro_batch_size_per_gpu=1, rollout_n=4, clip_ratio_low=0.2, clip_ratio_high=high
    )
    one = torch.ones(1, 1)
    loss, _ = compute_policy_loss_vanilla(0 * one, (ratio * one).log(), advantage * one, one, "token-mean", config)
    assert loss.item() == pytest.approx(expected, abs=1e-6)
