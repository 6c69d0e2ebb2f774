"""Every recipe with SFT objectives of every kind, with GRPO and DAPO, through verl's configuration, engine and data."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests import shipped
from vcore_verl.config.composition import RECIPES, ROOT
from vcore_verl.config.overrides import flat
from vcore_verl.config.recipe import load
from vcore_verl.cpu import cpu_environment
from vcore_verl.rl.command import rl_command
from vcore_verl.rl.main import configure as configure_rl
from vcore_verl.runs.layout import Run
from vcore_verl.sft.command import sft_command
from vcore_verl.sft.main import configure as configure_sft

pytestmark = pytest.mark.e2e

RUN = ("tiny", "tiny_code", "smollm2_135m")  # to the end, by the other tests of this folder
ALGORITHMS = {"dapo", "grpo"}  # the others differ in verl's configuration alone: tests/rl/test_command.py
# What `one_process` may change of verl's configuration: where it runs, on what, and the numbers of rows and ranks.
OF_THE_TRAINER = tuple(
    f"trainer.{key}"
    for key in ("device", "n_gpus_per_node", "nnodes", "default_local_dir", "project_name", "total_epochs")
)
OF_THE_MACHINE = {
    "sft": (
        "model.path",
        "model.external_lib",
        "data.train_files",
        "data.train_batch_size",
        "engine.use_torch_compile",
    ),
    "rl": (
        "actor_rollout_ref.model.path",
        "actor_rollout_ref.actor.use_torch_compile",
        "actor_rollout_ref.actor.fsdp_config.use_torch_compile",
        "actor_rollout_ref.actor.ppo_mini_batch_size",
        "actor_rollout_ref.ref.fsdp_config",
        "actor_rollout_ref.rollout",
        "data.train_files",
        "data.val_files",
        "data.train_batch_size",
        "data.dataloader_num_workers",
        "reward.num_workers",
        "transfer_queue",
        "ray_kwargs",
    ),
}


def reached(recipe: str, inits: Sequence[str], algorithms: Sequence[str], changes: list[str]) -> set[tuple[str, ...]]:
    """The trainings, as init and RL algorithm, that got to the point where weights would load."""
    subprocess.run([sys.executable, "-m", "vcore_verl", "data", recipe, *changes], cwd=ROOT, check=True)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"]
    script = [*torchrun, str(Path(__file__).parent / "until_weights.py"), recipe]
    environment = os.environ | cpu_environment() | {"PYTHONPATH": str(ROOT)}
    command = [*script, ",".join(inits), ",".join(algorithms), *changes]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout
    return {tuple(line.split()[1:]) for line in done.stdout.splitlines() if line.startswith("reached ")}


def trainings(inits: Sequence[str]) -> set[tuple[str, ...]]:
    """SFT with each of `inits`, and RL with each algorithm from the first and from the base."""
    objectives = [init for init in inits if init != "none"]
    rl = {(init, algorithm) for init in (objectives[0], "none") for algorithm in ALGORITHMS}
    return rl | {(init, "none") for init in objectives}


def beside_its_scale(name: str, folder: Path) -> str:
    """A copy of a recipe that has `scale=one_process`."""
    (folder / "scale").mkdir()
    shutil.copy(Path(__file__).parent / "scale" / "one_process.yaml", folder / "scale")
    return str(shutil.copy(RECIPES / f"{name}.yaml", folder))


@pytest.mark.parametrize("name", shipped.each(shipped.RECIPES, also=(*RUN, "qwen3_0_6b")))
def test_every_training_reaches_the_point_where_weights_would_load(name: str, tmp_path: Path):
    changes = ["scale=smoke", f"output_dir={tmp_path}"]
    inits = shipped.trained(name)
    assert reached(name, inits, sorted(ALGORITHMS), changes) == trainings(inits)


@pytest.mark.parametrize("name", shipped.each((n for n in shipped.FOR_GPUS if n not in shipped.SIBLINGS), also=RUN))
def test_the_settings_of_a_gpu_run_reach_that_point_too(name: str, tmp_path: Path):
    changes = ["scale=one_process", f"output_dir={tmp_path / 'runs'}"]
    found = reached(beside_its_scale(name, tmp_path), ["vcore", "none"], sorted(ALGORITHMS), changes)
    assert found == trainings(["vcore"])


@pytest.mark.parametrize("name", shipped.each(name for name in shipped.FOR_GPUS if name not in shipped.SIBLINGS))
def test_that_form_changes_nothing_that_is_the_recipes(name: str, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("VERL_PLATFORM", "nvidia")
    file = beside_its_scale(name, tmp_path)
    for section, command, child in (("sft", sft_command, configure_sft), ("rl", rl_command, configure_rl)):
        configs = []
        for changes in (["hardware.device=cuda"], ["scale=one_process"]):
            recipe = load(file, [f"output_dir={tmp_path}", *changes])
            argv = command(recipe, Run(recipe)).argv
            overrides = argv[argv.index(f"vcore_verl.{section}.main") + 1 :]
            configs.append(flat(OmegaConf.to_container(child(overrides), resolve=False)))
        on_gpus, here = configs
        changed = {key for key in on_gpus.keys() | here.keys() if on_gpus.get(key) != here.get(key)}
        allowed = (*OF_THE_MACHINE[section], *OF_THE_TRAINER, "metrics_file")
        assert {key for key in changed if not f"{key}.".startswith(tuple(f"{prefix}." for prefix in allowed))} == set()
