"""Child process of the RL stage: verl's `main_ppo` with this project's trainer.

python -m vcore_verl.rl.main KEY=VALUE ...      (overrides of verl's trainer/config/ppo_trainer.yaml)
"""

from typing import Any

import hydra
import ray
from omegaconf import DictConfig
from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config

# The class behind Ray's actor handle (ray/actor.py, ActorClass.__ray_metadata__): an actor class cannot be subclassed.
_TaskRunner: Any = TaskRunnerV1.__ray_metadata__.modified_class  # type: ignore[attr-defined]


class TaskRunner(_TaskRunner):
    """verl's task runner, in whose process the trainer has to be registered."""

    def run(self, config: DictConfig) -> None:
        import vcore_verl.rl.trainer  # noqa: F401  registers the trainer

        super().run(config)


@hydra.main(config_path="pkg://verl.trainer.config", config_name="ppo_trainer", version_base=None)
def main(config: DictConfig) -> None:
    validate_config(config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    run_ppo(config, task_runner_class=ray.remote(TaskRunner))


if __name__ == "__main__":
    main()
