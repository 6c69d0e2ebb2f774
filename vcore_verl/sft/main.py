"""The SFT child process, one per rank: `torchrun -m vcore_verl.sft.main <overrides of verl's sft_trainer_engine
config>`.
"""

import sys

import torch
from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from verl.utils import distributed

from vcore_verl.sft.trainer import ObjectiveTrainer


def configure(overrides: list[str]) -> DictConfig:
    """verl's SFT configuration with `overrides`. Raises Hydra's error for a key that verl lacks."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("sft_trainer_engine", overrides=overrides)


def main(overrides: list[str]) -> None:
    distributed.initialize_global_process_group()
    ObjectiveTrainer(configure(overrides)).fit()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1:])
