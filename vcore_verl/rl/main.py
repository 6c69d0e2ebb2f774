"""Child process of the RL stage: verl's `main_ppo` with this project's trainer.

python -m vcore_verl.rl.main KEY=VALUE ...      (overrides of verl's trainer/config/ppo_trainer.yaml)
"""

import sys
from typing import Any

import ray
from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config

# The class behind Ray's actor handle (ray/actor.py, ActorClass.__ray_metadata__), which cannot be subclassed itself.
_TaskRunner: Any = TaskRunnerV1.__ray_metadata__.modified_class  # type: ignore[attr-defined]


class TaskRunner(_TaskRunner):
    """verl's task runner; the trainer and the algorithm's estimator must be registered in its process."""

    def run(self, config: DictConfig) -> None:
        import vcore_verl.rl.trainer  # noqa: F401  registers the trainer
        from vcore_verl.rl import hooks

        hooks.install()
        super().run(config)


def configure(overrides: list[str]) -> DictConfig:
    """verl's PPO configuration with `overrides`, checked by verl. Raises Hydra's error for an unknown key."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=overrides)
    validate_config(config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    return config


def main(overrides: list[str]) -> None:
    run_ppo(configure(overrides), task_runner_class=ray.remote(TaskRunner))


if __name__ == "__main__":
    main(sys.argv[1:])
