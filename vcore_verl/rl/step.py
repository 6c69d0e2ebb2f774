"""A step's responses in the TransferQueue: read after verl has computed their advantages, which are then scaled."""

from collections.abc import Mapping
from typing import Any

import transfer_queue as tq
from tensordict import TensorDict
from verl.workers.utils.padding import response_to_nested

from reward import DOMAINS
from reward.answers import clusters, semantic_entropy, sizes
from vcore_verl.config.algorithms import SCALE, Declaration
from vcore_verl.rl.algorithms import Algorithm, Responses


def scale_advantages(batch: Any, algorithm: Algorithm, declared: Declaration) -> dict[str, float]:
    """Apply `algorithm.scale` to the advantages of `batch`, a KVBatchMeta; returns metrics, with the mean semantic
    entropy of the answers to a prompt in nats.

    Rows that only pad the batch are left out (trainer/ppo/padding_utils.py:144): they copy the first row's answer.
    Raises ValueError for rewards that the algorithm's formula does not hold for.
    """
    keys = real_rows(batch)
    fields = ["uid", "rm_scores", "response_mask", "old_log_probs", "advantages", "extra_fields"]
    data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=fields)
    responses = read(data)
    if declared.binary and (odd := sorted({*responses.reward_B.tolist()} - {0.0, 1.0})):
        raise ValueError(f"{declared.name} needs rewards of 0 and 1, and the reward function returned {odd[0]}")
    answers = [[responses.answer_B[row] for row in rows] for rows in responses.by_prompt().values()]
    entropy = sum(semantic_entropy(sizes(answer)) for answer in answers) / len(answers)
    metrics = {"answers/semantic_entropy": entropy}
    if SCALE in declared.hooks:
        scaling = algorithm.scale(responses)
        scaled_BL = data["advantages"].to_padded_tensor(0.0) * scaling.factor_BL
        nested = response_to_nested(scaled_BL, data["response_mask"])
        put = TensorDict({"advantages": nested}, batch_size=len(keys))
        tq.kv_batch_put(keys=keys, partition_id=batch.partition_id, fields=put)
        metrics |= scaling.metrics
    return metrics


def read(data: Mapping[str, Any]) -> Responses:
    """The `Responses` in fields of the TransferQueue, which holds a nested tensor or a list of each."""
    prompt_B = [str(getattr(uid, "data", uid)) for uid in data["uid"]]
    rewards = [reward_row(row) for row in data["extra_fields"]]
    answer_B = [0] * len(prompt_B)
    rows_of: dict[str, list[int]] = {}
    for row, prompt in enumerate(prompt_B):
        rows_of.setdefault(prompt, []).append(row)
    for rows in rows_of.values():
        answers, correct = ([rewards[row][key] for row in rows] for key in ("extracted", "acc"))
        same = DOMAINS[rewards[rows[0]]["domain"]].same_answer
        found = clusters(answers, [acc == 1 for acc in correct], same)
        for row, cluster in zip(rows, found, strict=True):
            answer_B[row] = cluster
    return Responses(
        prompt_B=prompt_B,
        answer_B=answer_B,
        reward_B=data["rm_scores"].to_padded_tensor(0.0).sum(-1),
        old_log_prob_BL=data["old_log_probs"].to_padded_tensor(0.0),
        mask_BL=data["response_mask"].to_padded_tensor(0).bool(),
    )


def real_rows(batch: Any) -> list[str]:
    """The keys of a KVBatchMeta without the rows that only pad it."""
    return [key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)]


def reward_row(extra_fields: Any) -> dict[str, Any]:
    """What `reward/custom_reward_function.py` returned for a response."""
    return getattr(extra_fields, "data", extra_fields)["reward_extra_info"]
