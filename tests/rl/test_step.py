"""Advantages of a step in a store in memory, in the form in which verl's trainer leaves them."""

import math
from types import SimpleNamespace

import pytest
import torch
from tensordict import TensorDict

from vcore_verl.config.algorithms import builtin
from vcore_verl.rl import step
from vcore_verl.rl.algorithms import build

LENGTHS = {"p_0_0": 3, "p_1_0": 2, "q_0_0": 4, "q_1_0": 1, "pad_0_0": 1}
REWARDS = {"p_0_0": 1.0, "p_1_0": 0.0, "q_0_0": 0.0, "q_1_0": 0.0, "pad_0_0": 0.0}
ANSWERS = {"p_0_0": "7", "p_1_0": "8", "q_0_0": "1/2", "q_1_0": "0.5", "pad_0_0": "7"}
KEYS = ["p_0_0", "q_0_0", "pad_0_0", "p_1_0", "q_1_0"]  # verl reorders rows by length


def nested(rows: list[torch.Tensor]) -> torch.Tensor:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


@pytest.fixture
def store(monkeypatch):
    """What is read and written of `transfer_queue`; advantages are 1, the last token of each response is uncertain."""
    written: dict[str, list[float]] = {}

    def get(keys, partition_id, select_fields):
        log_probs = [torch.tensor([0.95] * (LENGTHS[key] - 1) + [0.5]).log() for key in keys]
        ones = [torch.ones(LENGTHS[key]) for key in keys]
        return {
            "uid": [key.partition("_")[0] for key in keys],
            "rm_scores": nested([one * 0 + REWARDS[key] / len(one) for key, one in zip(keys, ones, strict=True)]),
            "response_mask": nested([one.long() for one in ones]),
            "old_log_probs": nested(log_probs),
            "advantages": nested(ones),
            "extra_fields": [
                {"reward_extra_info": {"extracted": ANSWERS[key], "acc": REWARDS[key], "domain": "math"}}
                for key in keys
            ],
        }

    def put(keys, partition_id, fields: TensorDict):
        written.update(zip(keys, (row.tolist() for row in fields["advantages"].unbind()), strict=True))

    monkeypatch.setattr(step, "tq", SimpleNamespace(kv_batch_get=get, kv_batch_put=put))
    return written


def scaled(name: str, **settings) -> dict[str, float]:
    tags = [{"is_padding": True} if key.startswith("pad") else {} for key in KEYS]
    batch = SimpleNamespace(keys=KEYS, tags=tags, partition_id="train")
    return step.scale_advantages(batch, build(name, settings), builtin()[name])


def test_the_entropy_of_answers_is_measured_for_every_algorithm_and_nothing_is_written(store):
    assert scaled("grpo") == {"answers/semantic_entropy": pytest.approx(math.log(2) / 2)}
    assert store == {}


def test_the_mask_reaches_the_real_rows_alone(store):
    assert scaled("spo_mask")["spo_mask/share"] == pytest.approx(0.4)
    assert store == {"p_0_0": [0, 0, 2.5], "p_1_0": [0, 2.5], "q_0_0": [0, 0, 0, 2.5], "q_1_0": [2.5]}


def test_a_factor_of_a_response_is_that_of_all_its_tokens(store):
    assert scaled("seed_grpo", alpha=0.5)["seed_grpo/factor"] == 0.75
    assert store == {"p_0_0": [0.5] * 3, "p_1_0": [0.5] * 2, "q_0_0": [1] * 4, "q_1_0": [1]}


def test_rewards_that_are_not_binary_are_refused_by_name(store, monkeypatch):
    monkeypatch.setitem(REWARDS, "q_1_0", 0.5)
    with pytest.raises(ValueError, match=r"nft needs rewards of 0 and 1, and the reward function returned 0\.5"):
        scaled("nft")
    scaled("grpo")
