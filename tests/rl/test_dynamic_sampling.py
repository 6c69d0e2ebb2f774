"""verl's own replay buffer on a store in memory: its own, the TransferQueue, is a set of Ray actors."""

import pytest
from verl.trainer.ppo.v1 import replay_buffer
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from vcore_verl.rl.dynamic_sampling import GenerationBound, TooFewInformativeGroups

BATCH = 2  # groups, of two answers each


class Store:
    """What the buffer calls of `transfer_queue`."""

    def __init__(self):
        self.tags = {}
        self.accuracy = {}

    def add(self, group, accuracies):
        self.tags[group] = {"is_prompt": True, "status": "finished", "global_steps": 1}
        for index, accuracy in enumerate(accuracies):
            self.tags[f"{group}_{index}_0"] = {}
            self.accuracy[f"{group}_{index}_0"] = accuracy

    def kv_list(self):
        return {"train": dict(self.tags)}

    def kv_clear(self, partition_id, keys):
        for key in keys:
            self.tags.pop(key, None)

    def kv_batch_get(self, keys, partition_id, select_fields):
        return {"extra_fields": [{"reward_extra_info": {"acc": self.accuracy[key]}} for key in keys]}


def train(outcomes, monkeypatch):
    """One step of sampling from groups with these accuracies of their answers, one after the other."""
    store, stream, numbers = Store(), iter(outcomes), iter(range(10_000))
    monkeypatch.setattr(replay_buffer, "tq", store)

    def generate(num_groups):
        for _ in range(num_groups):
            store.add(f"g{next(numbers)}", next(stream))

    def refill(num_groups):
        bound.add(num_groups, step=3)
        generate(num_groups)

    buffer = ReplayBuffer(
        trainer_mode="sync",
        trainer_config=None,
        max_off_policy_threshold=None,
        max_off_policy_strategy="drop",
        sampler_kwargs=None,
        refill_fn=refill,
        filter_groups_metric="acc",
        train_batch_size=BATCH,
        gen_batch_size=1,
    )
    bound = GenerationBound(buffer, BATCH)
    bound.begin_step()
    generate(BATCH)
    return buffer.sample(global_steps=3, partition_id="train", batch_size=BATCH), bound


def test_uniform_groups_are_replaced_and_counted(monkeypatch):
    (batch, _), bound = train([(0, 0), (0, 1), (1, 1), (1, 0), (0, 0)], monkeypatch)
    assert {key.split("_")[0] for key in batch.keys} == {"g1", "g3"}
    assert bound.evicted == {0.0: 1, 1.0: 1}


def test_groups_that_are_all_uniform_end_in_an_error_that_counts_them(monkeypatch):
    outcomes = [(0, 0), (0, 0), (1, 1), *[(0, 0)] * 100]
    with pytest.raises(TooFewInformativeGroups) as raised:
        train(outcomes, monkeypatch)
    assert str(raised.value) == (
        "dynamic sampling generated 20 groups in step 3 and evicted 20, 19 all wrong and 1 all correct; it needs 2 "
        "with differing answers: the problems are too hard for this model; choose others, or "
        "set rl.dynamic_sampling=false"
    )
