"""The responses of a step in two phases: a few pilots to every prompt, then the rest where the algorithm wants them.

verl takes the number of responses from the key `__rollout_n__` of a prompt (trainer/ppo/v1/agent_loop_tq.py:89), and
vLLM stays awake until the step's batch is sampled (trainer_sync.py:24). The second phase has new prompt ids, since the
keys of responses number from 0 in each (agent_loop_tq.py:173); its rows then get the ids of the first.
"""

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import transfer_queue as tq
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.utils import tensordict_utils as tu

from vcore_verl.rl.allocation import Pilots
from vcore_verl.rl.step import reward_row

RESPONSES = "__rollout_n__"
Submit = Callable[[TensorDict], int]


class TwoPhases:
    """Replaces the `sample` of a replay buffer, and how a batch of prompts is submitted to the rollout."""

    def __init__(self, algorithm: Any, buffer: Any, submit: Submit, per_prompt: int):
        self.algorithm: Any = algorithm
        self.submit, self.per_prompt = submit, per_prompt
        self.prompts: TensorDict | None = None
        self._sample, buffer.sample = buffer.sample, self.sample

    def start(self, prompts: TensorDict) -> int:
        """Submit the pilots to all `prompts` of a step."""
        self.prompts = prompts
        return self._submit(prompts, [str(uid) for uid in prompts["uid"]], [self.algorithm.pilot] * len(prompts))

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[Any, dict]:
        """The responses of the step, with metrics of the allocation. Tests in RL are left to verl."""
        batch, metrics = self._sample(global_steps, partition_id, batch_size)
        if self.prompts is None or partition_id == "val":
            return batch, metrics
        prompts, self.prompts = self.prompts, None
        uids = [str(uid) for uid in prompts["uid"]]
        pilots = pilots_of(batch, uids)
        number_P = self.algorithm.allocate(pilots, self.per_prompt * len(uids))
        kept_P = pilots.count_P * (not self.algorithm.discard_pilot)
        rest = {str(uuid.uuid4()): (uid, int(more)) for uid, more in zip(uids, number_P - kept_P, strict=True)}
        if any(more for _, more in rest.values()):
            self._submit(prompts, list(rest), [more for _, more in rest.values()])
            second, others = self._sample(global_steps, partition_id, batch_size)
            metrics |= others
            ids = TensorDict({}, batch_size=len(second.keys))
            tu.assign_non_tensor_stack(ids, "uid", [rest[key.split("_")[0]][0] for key in second.keys])
            tq.kv_batch_put(keys=second.keys, partition_id=partition_id, fields=ids)
            if self.algorithm.discard_pilot:
                tq.kv_clear(keys=batch.keys, partition_id=partition_id)
                batch = second
            else:
                keys, tags = [*batch.keys, *second.keys], [*batch.tags, *second.tags]
                batch = KVBatchMeta(partition_id=partition_id, keys=keys, tags=tags)
        metrics |= {"allocation/responses": len(batch.keys)}
        return batch, metrics | summary(pilots, number_P, self.algorithm.lowest)

    def _submit(self, prompts: TensorDict, uids: list[str], numbers: list[int]) -> int:
        copy = prompts.copy()
        tu.assign_non_tensor_stack(copy, "uid", uids)
        tu.assign_non_tensor_stack(copy, RESPONSES, numbers)
        return self.submit(copy)


def pilots_of(batch: Any, uids: list[str]) -> Pilots:
    """The rewards (by `acc`) and gradient norms of the responses in `batch`, in the order of the prompts `uids`.

    The norm of a response's gradient with respect to the logits is approximated by sqrt(sum of (1 - p)^2) over its
    tokens, with the probabilities that vLLM drew them with. 1 - 2 p + sum of all p^2, the exact square for a token, is
    between once and twice (1 - p)^2, and common factors cancel in an allocation.
    """
    fields = ["uid", "rollout_log_probs", "response_mask", "extra_fields"]
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
    mask_BL = data["response_mask"].to_padded_tensor(0)
    missed_BL = (1 - data["rollout_log_probs"].to_padded_tensor(0.0).exp()) * mask_BL
    norms = missed_BL.square().sum(-1).sqrt().tolist()
    found: dict[str, tuple[list[float], list[float]]] = {uid: ([], []) for uid in uids}
    for uid, extra, norm in zip(data["uid"], data["extra_fields"], norms, strict=True):
        rewards, of_prompt = found[str(getattr(uid, "data", uid))]
        rewards.append(float(reward_row(extra)["acc"]))
        of_prompt.append(norm)
    return Pilots(*zip(*found.values(), strict=True))


def summary(pilots: Pilots, number_P: np.ndarray, lowest: int) -> dict[str, float]:
    """Metrics: mean number of responses by the number of correct pilots, and the share of prompts with the fewest."""
    means = {
        f"allocation/responses_with_{accepted}_correct": float(number_P[pilots.accepted_P == accepted].mean())
        for accepted in np.unique(pilots.accepted_P).tolist()
    }
    return means | {
        "allocation/share_with_fewest": float((number_P == lowest).mean()),
        "allocation/most": float(number_P.max()),
        "allocation/pilots_without_success": float((pilots.accepted_P == 0).mean()),
    }
