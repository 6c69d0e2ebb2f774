"""verl's SFT trainer with a token objective."""

from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDict
from verl.trainer.sft_trainer import SFTTrainer
from verl.utils import tensordict_utils as tu
from verl.utils.tracking import Tracking
from verl.workers.config import TrainingWorkerConfig

from vcore_verl.config.recipe import init_of
from vcore_verl.runs.metrics_file import MetricsFile
from vcore_verl.runs.tracking import add_metrics_file
from vcore_verl.sft.dataset import beginning
from vcore_verl.sft.reference import reference_log_probs
from vcore_verl.sft.tracking import open_trackers
from vcore_verl.sft.worker import ObjectiveWorker


class ObjectiveTrainer(SFTTrainer):
    """`config` is verl's SFT configuration with two more keys: `init`, the recipe's section of that name, and
    `metrics_file`.

    Differences from verl's trainer: the data order follows `trainer.seed`; resuming at an epoch boundary or after the
    last step works; every step is logged to `metrics_file` and to the trackers in `trainer.logger`. Raises ValueError
    for settings that the objective does not support.
    """

    training_client: ObjectiveWorker

    def __init__(self, config: DictConfig):
        self.init = init_of(config.init)
        torch.manual_seed(config.trainer.seed)
        super().__init__(config)
        if self.steps_per_epoch and self.resume_global_step % self.steps_per_epoch == 0:
            self._start_epoch()
        # Replicas of the model draw different dropout masks.
        if self.resume_global_step == 0:
            torch.manual_seed(config.trainer.seed * 1_000_003 + self.rank)
        self.training_client.step = self.resume_global_step
        if (probe := self.init.probing) is not None:
            self.training_client.attach_probe(probe, self._draw)
        if "old" in self.init.needs:
            self.training_client.keep_old_policy(self.init.settings["refresh"])

    def fit(self) -> None:
        """Train until the last step; do nothing if a killed run had reached it."""
        trackers = self._trackers() if self.rank == 0 else None
        if trackers is not None:
            self.training_client.on_step = trackers.log
        self.config.trainer.logger = []  # verl would open the trackers again, and delay TensorBoard's steps
        if self.resume_global_step < self.total_training_steps:
            super().fit()
        if trackers is not None:
            trackers.finish()

    def _trackers(self) -> Tracking:
        settings = self.config.trainer
        metrics = MetricsFile(Path(self.config.metrics_file), self.total_training_steps, self.resume_global_step)
        config = cast(dict[str, Any], OmegaConf.to_container(self.config, resolve=True))
        trackers = open_trackers(settings.project_name, settings.experiment_name, list(settings.logger), config)
        add_metrics_file(trackers.logger, metrics)
        return trackers

    def _build_engine(self) -> None:
        config = TrainingWorkerConfig(
            model_type="language_model",
            model_config=self.model_config,
            engine_config=self.engine_config,
            optimizer_config=self.optimizer_config,
            checkpoint_config=self.checkpoint_config,
            profiler_config=self.profiler_config,
        )
        self.training_client = ObjectiveWorker(config, self.init, self.config.trainer.seed)
        self.engine = self.training_client.engine

    def _build_dataloader(self) -> None:
        super()._build_dataloader()
        # verl leaves the sampler's seed at 0 (verl/trainer/sft_trainer.py:239).
        self.train_sampler.seed = self.config.trainer.seed
        if len(self.train_dataloader) == 0:
            raise ValueError(
                f"{len(self.train_dataset)} training examples do not fill a batch of {self.global_batch_size}: "
                "lower sft.batch_size or add data"
            )

    def _init_engine(self) -> None:
        super()._init_engine()
        if rewrite := self.training_client.loss_fn.objective.rewrite:
            seed = self.config.trainer.seed
            self.train_dataset.rewrite(lambda response, example: rewrite(response, example, seed))
        if "kind" in self.init.needs:
            self.train_dataset.attach_kinds()
        if "behaviour" in self.init.needs:
            self.train_dataset.attach_behaviour()
        if "reference" in self.init.needs:
            self.train_dataset.attach_reference(reference_log_probs(self))

    def _start_epoch(self) -> None:
        """Discard the data loader's restored state: at the end of an epoch it is "exhausted" and would skip the next
        epoch.

        verl restores it unconditionally (verl/utils/checkpoint/checkpoint_handler.py:169, issue 7401).
        """
        self._build_dataloader()
        self.ckpt_handler.train_dataloader = self.train_dataloader

    def _draw(self, step: int) -> TensorDict:
        """This rank's part of the probe batch B' of a step, drawn with replacement as a function of seed and step
        alone; sequences are cut to `init.probe.cutoff_tokens`.
        """
        probe = self.init.probing
        assert probe is not None
        ranks, rank = self.engine.get_data_parallel_size(), self.engine.get_data_parallel_rank()
        generator = torch.Generator().manual_seed((self.config.trainer.seed * 1_000_003 + step) % 2**63)
        chosen = torch.randint(len(self.train_dataset), (probe.batch_size,), generator=generator)
        return self.batch(chosen[rank::ranks].tolist(), probe.cutoff_tokens)

    def batch(self, indices: list[int], cutoff_tokens: int | None = None) -> TensorDict:
        """Training examples as a batch in verl's form, with the metadata that verl's `fit` adds to its batches; with
        `cutoff_tokens`, only the beginning of each example.
        """
        items = [self.train_dataset[index] for index in indices]
        tensors = self.collate_fn([beginning(item, cutoff_tokens) for item in items] if cutoff_tokens else items)
        data, model = self.config.data, self.config.model
        meta: dict[str, Any] = {
            "use_remove_padding": model.use_remove_padding,
            "use_dynamic_bsz": data.use_dynamic_bsz,
            "max_token_len_per_gpu": data.max_token_len_per_gpu,
            "micro_batch_size_per_gpu": data.micro_batch_size_per_gpu,
            "temperature": 1.0,
            "global_batch_size": self.global_batch_size,
            "pad_mode": data.pad_mode,
            "pad_token_id": self.model_config.tokenizer.pad_token_id,
        }
        return tu.get_tensordict(tensor_dict=tensors, non_tensor_dict=meta)
