"""verl's training worker with an objective's own passes over a batch before the training step."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peft.tuners.lora import LoraLayer
from tensordict import TensorDict
from torch import nn
from verl.utils import tensordict_utils as tu
from verl.workers.config import TrainingWorkerConfig
from verl.workers.engine_workers import TrainingWorker

from vcore_verl.config.init_schema import Init
from vcore_verl.config.init_schema import Probe as ProbeSettings
from vcore_verl.objectives import build
from vcore_verl.sft.loss import NonFiniteLossError, WeightedLoss, global_losses
from vcore_verl.sft.metrics import step_metrics
from vcore_verl.sft.old_policy import OldPolicy
from vcore_verl.sft.probe import passes
from vcore_verl.sft.probe.probe import Probe


class ObjectiveWorker(TrainingWorker):
    """Trains with the objective `init`; `step` counts completed steps and must be set when a run resumes."""

    engine: Any
    loss_fn: WeightedLoss  # type: ignore[assignment]

    def __init__(self, config: TrainingWorkerConfig, init: Init, seed: int):
        super().__init__(config=config)
        self.seed, self.step = seed, 0
        self.probe: Probe | None = None
        self.old_policy: OldPolicy | None = None
        self.on_step: Callable[[dict[str, float], int], None] | None = None
        objective = build(init.name, init.settings, Path(init.file) if init.file else None)
        self.set_loss_fn(WeightedLoss(objective, seed, init.shuffled))

    def reset(self) -> None:
        """Load the model, and add the dropout that verl's LoRA layers lack (transformer_impl.py:358)."""
        super().reset()
        dropout = self.model_config.lora.get("dropout", 0.0)
        for module in self.engine.module.modules():
            if isinstance(module, LoraLayer) and dropout > 0:
                module.lora_dropout["default"] = nn.Dropout(dropout)

    def attach_probe(self, settings: ProbeSettings, draw: Callable[[int], TensorDict]) -> None:
        """Probe before every training step on batches from `draw(step)`."""
        clean = "clean_probe" in self.loss_fn.objective.needs
        loss = WeightedLoss(build("oracle", {}), self.seed) if clean else passes.uniform_loss
        self.probe = Probe(self.engine, settings, draw, self.optimizer_config.clip_grad, self.seed, loss)

    def keep_old_policy(self, refresh: int) -> None:
        """From now on keep the policy of every `refresh` steps."""
        self.old_policy = OldPolicy(self.engine, refresh)

    def train_batch(self, data: TensorDict) -> TensorDict:
        """Take one optimizer step. Its metrics, scalars over all ranks and micro-batches, are returned and passed to
        `on_step`.
        """
        started = time.perf_counter()
        self.step += 1
        self.loss_fn.step = self.step
        metrics = self.look_ahead(data, self.step)
        output = super().train_batch(data)
        metrics |= step_metrics(tu.get(output, "metrics"))
        if not math.isfinite(metrics["train/grad_norm"]):
            raise NonFiniteLossError(
                f"step {self.step}: the gradient norm is {metrics['train/grad_norm']}; lower sft.learning_rate"
            )
        metrics["train/step_seconds"] = time.perf_counter() - started
        if self.on_step is not None:
            self.on_step(metrics, self.step)
        tu.assign_non_tensor(output, metrics=metrics)
        return output

    def look_ahead(self, data: TensorDict, step: int) -> dict[str, float]:
        """Add to `data` what the objective reads besides the training pass's losses. Each takes a pass of its own
        before it, so that other objectives pay nothing. Returns the probe's metrics.
        """
        metrics: dict[str, float] = {}
        if self.probe is not None:
            with self.engine.train_mode():
                metrics = self.probe.measure(data, step)
            self.loss_fn.half_cosine = metrics.get("probe/half_cosine")
        if self.old_policy is not None:
            with self.engine.train_mode():
                self.old_policy.measure(data, step)
        if "entropy" in self.loss_fn.objective.needs:
            with self.engine.train_mode(), passes.same_randomness():
                data["entropy"] = passes.top_entropies(self.engine, data)
        if "batch" in self.loss_fn.objective.needs:
            with self.engine.train_mode(), passes.same_randomness():
                log_probs = passes.precise_log_probs(self.engine, data)
            self.loss_fn.batch = global_losses(log_probs, data, self.engine.get_data_parallel_group())
        return metrics
