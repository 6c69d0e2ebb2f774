"""verl's synchronous PPO trainer with the run's algorithm, a metrics file, a faster poll on the CPU, and bounded
dynamic sampling.
"""

import logging
import os
from pathlib import Path
from statistics import fmean
from typing import Any

import transfer_queue as tq
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from reward import DOMAINS, status_rates, warnings_for
from vcore_verl.config.algorithms import ALLOCATE
from vcore_verl.rl import hooks
from vcore_verl.rl.dynamic_sampling import GenerationBound
from vcore_verl.rl.step import real_rows, reward_row, scale_advantages
from vcore_verl.rl.two_phases import TwoPhases
from vcore_verl.runs.metrics_file import MetricsFile
from vcore_verl.runs.tracking import add_metrics_file

logger = logging.getLogger(__name__)

TRAINER = "vcore_sync"

# Seconds between polls of the rollouts. verl's 2 s (trainer/ppo/v1/replay_buffer.py:144) would be most of a small step
# on the CPU.
CPU_POLL_INTERVAL = 0.1


@register_trainer(TRAINER)
class Trainer(PPOTrainerSync):
    """Chosen by `trainer.v1.trainer_mode=vcore_sync`."""

    def _build_replay_buffer(self) -> ReplayBuffer:
        # verl compares the mode's name with "sync" to choose the buffer and the refill rule (trainer_base.py:156,724).
        self.trainer_mode = "sync"
        buffer = super()._build_replay_buffer()
        if self.config.trainer.device == "cpu":
            buffer.poll_interval = CPU_POLL_INTERVAL
        self.generation_bound = GenerationBound(buffer, self.config.data.train_batch_size)
        self.two_phases = None
        if ALLOCATE in hooks.declared().hooks:
            submit, per_prompt = super()._submit_batch_to_rollout, self.config.actor_rollout_ref.rollout.n
            self.two_phases = TwoPhases(hooks.chosen(), buffer, submit, per_prompt)
        return buffer

    def _submit_batch_to_rollout(self, batch) -> int:
        return self.two_phases.start(batch) if self.two_phases else super()._submit_batch_to_rollout(batch)

    def fit(self, agent_loop_manager: Any) -> None:
        super().fit(agent_loop_manager)
        self.logger.finish()  # verl leaves it to __del__, which a killed Ray actor may never run

    def on_train_begin(self) -> None:
        super().on_train_begin()
        # fit() has already advanced global_steps to the step it will train next.
        metrics = MetricsFile(Path(os.environ["VCORE_METRICS"]), self.total_training_steps, self.global_steps - 1)
        add_metrics_file(self.logger.logger, metrics)

    def on_step_begin(self) -> None:
        super().on_step_begin()
        self.generation_bound.begin_step()

    def _add_prompts_to_generate(self, num_prompts: int) -> int:
        self.generation_bound.add(num_prompts, self.global_steps)
        return super()._add_prompts_to_generate(num_prompts)

    def _compute_advantage(self, batch, metrics):
        batch = super()._compute_advantage(batch, metrics)
        metrics |= scale_advantages(batch, hooks.chosen(), hooks.declared())
        return batch

    def _compute_metrics(self, batch, metrics, timing_raw, global_steps, epoch) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, global_steps=global_steps, epoch=epoch)
        rewards = self._reward_rows(batch)
        rates = status_rates(rewards)
        metrics |= {f"reward/{name}": rate for name, rate in rates.items()}
        domain = DOMAINS[rewards[0]["domain"]]
        metrics |= {f"reward/{name}": fmean(row[f"reward_{name}"] for row in rewards) for name in domain.costs}
        # Can exceed 1: sums the seconds from call to verdict, and several answers are judged at once.
        metrics["reward/share_of_step"] = sum(row["reward_seconds"] for row in rewards) / timing_raw["step"]
        for warning in warnings_for(rates, domain):
            logger.warning("step %d: %s", global_steps, warning)

    @staticmethod
    def _reward_rows(batch) -> list[dict[str, Any]]:
        """What `reward/custom_reward_function.py` returned for each response of the batch.

        verl averages it only in validation (trainer_base.py:1128); this reads it as the replay buffer does there.
        """
        keys = real_rows(batch)
        fields = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
        return [reward_row(row) for row in fields["extra_fields"]]
