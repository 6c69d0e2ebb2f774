from pathlib import Path

from vcore_verl.config.recipe import load
from vcore_verl.pipeline.stage import dependencies
from vcore_verl.pipeline.stages import stages
from vcore_verl.runs.hashing import Digests
from vcore_verl.runs.layout import Run
from vcore_verl.runtime.process import Command

ON_DEVICE = ("sft", "evaluate_pre_rl", "rl", "evaluate_post_rl")


def commands(device: str, output: Path) -> dict[str, Command]:
    recipe = load("tiny", [f"hardware.device={device}", f"output_dir={output}"])
    return {stage.name: stage.command() for stage in stages(recipe, Run(recipe))}


def test_two_recipes_with_different_devices_have_their_own_commands_in_one_process(tmp_path, monkeypatch):
    monkeypatch.setenv("VERL_PLATFORM", "npu")
    on_cuda, on_cpu = (commands(device, tmp_path) for device in ("cuda", "cpu"))
    assert {on_cuda[name].env["VERL_PLATFORM"] for name in ON_DEVICE} == {"nvidia"}
    assert {on_cpu[name].env["VERL_PLATFORM"] for name in ON_DEVICE} == {"cpu"}
    for name in ("sft", "rl"):
        assert "trainer.device='cpu'" in on_cpu[name].argv
        assert not any("trainer.device=" in word for word in on_cuda[name].argv)


def test_trackers_and_names_make_nothing_stale(tmp_path):
    def depends(*overrides: str) -> dict:
        recipe = load("tiny", [f"output_dir={tmp_path}", *overrides])
        run, digests = Run(recipe), Digests(tmp_path / "digests.json")
        return {stage.name: dependencies(stage, recipe, run, digests) for stage in stages(recipe, run)}

    assert depends("tracking=[tensorboard,wandb]", "rl.variant=new", "variant=new") == depends()
