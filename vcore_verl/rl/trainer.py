"""verl's synchronous PPO trainer with a metrics file, a faster poll on the CPU, and bounded dynamic sampling."""

import logging
import os
from collections import Counter
from pathlib import Path
from typing import Any

import transfer_queue as tq
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from reward import status_rates, warnings_for
from vcore_verl.metrics import MetricsFile
from vcore_verl.platform import cpu_requested

logger = logging.getLogger(__name__)

TRAINER = "vcore_sync"

# Generated batches a step may use up before dynamic sampling gives up; DAPO's own default (its max_num_gen_batches).
MAX_GENERATED_BATCHES = 10
# Seconds between looks at the rollouts. verl's 2 s (trainer/ppo/v1/replay_buffer.py:144) are most of a small step on
# the CPU.
CPU_POLL_INTERVAL = 0.1


class TooFewInformativeGroups(RuntimeError):
    """Dynamic sampling finds no groups whose rewards differ."""


@register_trainer(TRAINER)
class Trainer(PPOTrainerSync):
    """Chosen by `trainer.v1.trainer_mode=vcore_sync`."""

    def __init__(self, config):
        super().__init__(config)
        self._generated_prompts = 0

    def _build_replay_buffer(self) -> ReplayBuffer:
        # verl compares the mode's name with "sync" to choose the buffer and the refill rule (trainer_base.py:156,724).
        self.trainer_mode = "sync"
        buffer = super()._build_replay_buffer()
        if cpu_requested():
            buffer.poll_interval = CPU_POLL_INTERVAL
        return buffer

    def on_train_begin(self) -> None:
        super().on_train_begin()
        # fit() has already moved on to the step it will train next.
        metrics = MetricsFile(Path(os.environ["VCORE_METRICS"]), self.total_training_steps, self.global_steps - 1)
        trackers: dict[str, Any] = self.logger.logger
        trackers["metrics.jsonl"] = metrics

    def on_step_begin(self) -> None:
        super().on_step_begin()
        self._generated_prompts = 0

    def _add_prompts_to_generate(self, num_prompts: int) -> int:
        """Send prompts to rollout, at most `MAX_GENERATED_BATCHES` batches a step.

        verl 0.9.1 refills for ever when all groups are uniform: it ignores max_num_gen_batches (trainer_base.py:206).
        """
        limit = MAX_GENERATED_BATCHES * self.config.data.train_batch_size
        if self._generated_prompts >= limit:
            raise TooFewInformativeGroups(self._eviction_report(limit))
        self._generated_prompts += num_prompts
        return super()._add_prompts_to_generate(num_prompts)

    def _compute_metrics(self, batch, metrics, timing_raw, global_steps, epoch) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, global_steps=global_steps, epoch=epoch)
        rewards = self._reward_rows(batch)
        rates = status_rates(rewards)
        metrics |= {f"reward/{name}": rate for name, rate in rates.items()}
        # Seconds of the reward's own threads, of which several run at once.
        metrics["reward/share_of_step"] = sum(row["reward_seconds"] for row in rewards) / timing_raw["step"]
        for warning in warnings_for(rates):
            logger.warning("step %d: %s", global_steps, warning)

    @staticmethod
    def _reward_rows(batch) -> list[dict[str, Any]]:
        """What `reward/custom_reward_function.py` returned for each response of the batch.

        verl averages it in validation alone (trainer_base.py:1128); it is read as the replay buffer reads it there.
        """
        keys = [key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)]
        fields = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
        return [getattr(row, "data", row)["reward_extra_info"] for row in fields["extra_fields"]]

    def _eviction_report(self, limit: int) -> str:
        uniform = Counter(self.replay_buffer._dapo_classification_cache["train"].values())
        seen = ", ".join(f"{count} with all scores {score}" for score, count in uniform.items() if score is not None)
        return (
            f"dynamic sampling used {limit} prompts in step {self.global_steps} and still lacks "
            f"{self.config.data.train_batch_size} groups with differing scores (last seen: {seen or 'none'}); "
            "the data are too easy or too hard for this model: set rl.dynamic_sampling=false or choose other prompts"
        )
