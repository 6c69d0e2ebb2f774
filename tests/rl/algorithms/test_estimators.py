"""Advantages of binary rewards, through verl's own functions."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.ppo import core_algos
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

from vcore_verl.config.algorithms import builtin
from vcore_verl.config.overrides import lookup
from vcore_verl.rl.algorithms import build
from vcore_verl.rl.hooks import estimator

GROUPS = [1.0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]  # of four responses each


def advantages(name: str, rewards: list[float], monkeypatch, size: int = 4) -> list[float]:
    """Of each response, as verl's trainer computes them with the algorithm's settings; two tokens, one of them real."""
    count = len(rewards)
    mask = torch.tensor([[1, 0]]).repeat(count, 1)
    scores = torch.zeros(count, 2)
    scores[:, 0] = torch.tensor(rewards)
    data = DataProto.from_dict(
        {"token_level_rewards": scores, "response_mask": mask},
        non_tensors={"uid": np.array([f"p{row // size}" for row in range(count)], dtype=object)},
    )
    settings = builtin()[name].settings
    chosen = lookup(settings, "algorithm.adv_estimator") or "grpo"
    if chosen.startswith("vcore_"):
        monkeypatch.setitem(core_algos.ADV_ESTIMATOR_REGISTRY, chosen, estimator(build(name, {})))
    by_std = lookup(settings, "algorithm.norm_adv_by_std_in_grpo")
    keys = [f"p{row // size}_{row % size}_0" for row in range(count)]
    found = compute_advantage_for_multi_trajectories(
        data,
        keys,
        chosen,
        norm_adv_by_std_in_grpo=by_std is not False,
        config=OmegaConf.create({"use_pf_ppo": False}),
    )
    assert torch.all(found.batch["advantages"][:, 1] == 0)
    return found.batch["advantages"][:, 0].tolist()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("raft", [1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]),
        ("raft_pp", [1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]),
        ("reinforce_rej", [1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0]),  # the release has [1, 0, 0, 0] for the first
        ("dr_grpo", [0.75, -0.25, -0.25, -0.25, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("nft", [0.75, -0.25, -0.25, -0.25, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("rloo", [1, -1 / 3, -1 / 3, -1 / 3, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("grpo", [1.499997, -0.499999, -0.499999, -0.499999, 0, 0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_advantages_are_those_of_the_formula(name, expected, monkeypatch):
    assert advantages(name, GROUPS, monkeypatch) == pytest.approx(expected, abs=1e-6)


def test_with_equal_halves_reinforce_rej_is_twice_dr_grpo(monkeypatch):
    rewards = [1.0, 0, 1, 0]
    twice = [2 * value for value in advantages("dr_grpo", rewards, monkeypatch)]
    assert advantages("reinforce_rej", rewards, monkeypatch) == twice


def test_a_prompt_with_one_response_is_left_out_of_reinforce_rej(monkeypatch):
    assert advantages("reinforce_rej", [1.0, 0.0], monkeypatch, size=1) == [0, 0]
