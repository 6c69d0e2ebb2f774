"""The SFT child process, one per rank: `torchrun -m vcore_verl.sft.main <overrides of verl's sft_trainer_engine
config>`.
"""

import sys

import torch
from hydra import compose, initialize_config_module
from verl.utils import distributed

from vcore_verl.sft.trainer import ObjectiveTrainer


def main(overrides: list[str]) -> None:
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("sft_trainer_engine", overrides=overrides)
    distributed.initialize_global_process_group()
    ObjectiveTrainer(config).fit()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1:])
