"""Run by `test_every_recipe`: every training of a recipe up to the point where verl would load weights.

torchrun until_weights.py RECIPE INIT,INIT,... RL,RL,... OVERRIDE ...

Base model and data are made. RL starts from the base and from the first SFT objective.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from verl.trainer.ppo.utils import create_rl_dataset
from verl.utils import distributed
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.engine_workers import ActorRolloutRefWorker, TrainingWorker

from vcore_verl.config.recipe import Recipe, load
from vcore_verl.rl import main as rl_main
from vcore_verl.rl.command import rl_command
from vcore_verl.runs.layout import Run
from vcore_verl.sft import main as sft_main
from vcore_verl.sft.command import sft_command
from vcore_verl.sft.trainer import ObjectiveTrainer


class WouldLoadWeightsError(Exception):
    """Everything before has passed."""


class Sft(ObjectiveTrainer):
    def _init_engine(self) -> None:
        raise WouldLoadWeightsError


class Training(TrainingWorker):
    def reset(self) -> None:
        raise WouldLoadWeightsError


class Policy(ActorRolloutRefWorker):
    actor_worker_cls = ref_worker_cls = Training


def reach(build: Callable[[], object]) -> None:
    try:
        build()
    except WouldLoadWeightsError:
        return
    raise AssertionError("no weights would be loaded")


def configured(argv: list[str], child: Any) -> Any:
    """verl's configuration as the child process would have it from a stage's command."""
    return child.configure(argv[argv.index(child.__name__) + 1 :])


def sft(recipe: Recipe, run: Run) -> None:
    config = configured(sft_command(recipe, run).argv, sft_main)
    reach(lambda: Sft(config))


def rl(recipe: Recipe, run: Run) -> None:
    if recipe.has_sft and not run.sft_hf.exists():
        run.sft.mkdir(parents=True)
        run.sft_hf.symlink_to(run.base_hf.resolve())
    command = rl_command(recipe, run)
    os.environ.update(command.env)
    config = configured(command.argv, rl_main)
    for role in ("ref", "actor"):
        reach(Policy(config.actor_rollout_ref, role).init_model)
    omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    omega_conf_to_dataclass(config.algorithm)
    model: Any = omega_conf_to_dataclass(config.actor_rollout_ref.model)
    prompts = create_rl_dataset(config.data.train_files, config.data, model.tokenizer, model.processor)
    assert len(prompts) >= config.data.train_batch_size


if __name__ == "__main__":
    name, inits, algorithms, *changes = sys.argv[1:]
    distributed.initialize_global_process_group()
    objectives = [init for init in inits.split(",") if init != "none"]
    # RL knows of SFT only where its checkpoint is.
    trainings: list[tuple[str, str, Callable[[Recipe, Run], None]]] = [
        *((init, "none", sft) for init in objectives),
        *((init, algorithm, rl) for init in (objectives[0], "none") for algorithm in algorithms.split(",")),
    ]
    for init, algorithm, training in trainings:
        recipe = load(name, [f"init={init}", f"rl={algorithm}", *changes])
        training(recipe, Run(recipe))
        print("reached", init, algorithm, flush=True)
