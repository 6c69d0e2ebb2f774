"""verl's synchronous PPO trainer with a metrics file, a faster poll on the CPU, and bounded dynamic sampling."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from vcore_verl.metrics import MetricsFile
from vcore_verl.platform import cpu_requested

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

    def _eviction_report(self, limit: int) -> str:
        uniform = Counter(self.replay_buffer._dapo_classification_cache["train"].values())
        seen = ", ".join(f"{count} with all scores {score}" for score, count in uniform.items() if score is not None)
        return (
            f"dynamic sampling used {limit} prompts in step {self.global_steps} and still lacks "
            f"{self.config.data.train_batch_size} groups with differing scores (last seen: {seen or 'none'}); "
            "the data are too easy or too hard for this model: set rl.dynamic_sampling=false or choose other prompts"
        )
