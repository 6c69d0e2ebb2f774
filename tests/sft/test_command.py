import json
import os
from pathlib import Path

import pytest
from verl.utils.config import omega_conf_to_dataclass

from tests import shipped
from vcore_verl.attention import NAME
from vcore_verl.config.overrides import to_overrides
from vcore_verl.config.recipe import Recipe, RecipeError, load
from vcore_verl.cpu import cpu_environment, external_library
from vcore_verl.runs.layout import ArtefactError, Run
from vcore_verl.sft.command import final_shards, sft_command, verify_sft, verl_settings
from vcore_verl.sft.main import configure


def recipe(tmp_path: Path, *overrides: str, name: str = "tiny") -> Recipe:
    return load(name, [f"output_dir={tmp_path}", *overrides])


@pytest.mark.parametrize("name", shipped.each(shipped.RECIPES))
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_setting_exists_in_verl(tmp_path: Path, name: str, device: str):
    subject = recipe(tmp_path, f"hardware.device={device}", name=name)
    config = configure(to_overrides(verl_settings(subject, Run(subject))))
    for section in (config.engine, config.optim, config.checkpoint, config.profiler):
        omega_conf_to_dataclass(section)
    assert config.optim.lr == subject.sft.learning_rate
    assert config.trainer.seed == subject.seed
    assert config.init.probe.batch_size == 32
    assert config.engine.use_torch_compile is (device != "cpu")
    assert config.model.external_lib == external_library(device)
    assert config.model.override_config.attn_implementation == NAME
    assert config.model.use_remove_padding is True


def test_command_runs_one_process_per_rank(tmp_path: Path):
    subject = recipe(tmp_path, "hardware.device=cpu")
    command = sft_command(subject, Run(subject))
    assert "--nproc-per-node=2" in command.argv
    assert command.env == cpu_environment()
    assert command.progress == Run(subject).sft / "metrics.jsonl"
    assert command.total == subject.sft.steps


def test_training_on_a_gpu_reuses_memory_across_shapes_unless_the_user_has_chosen(tmp_path: Path, monkeypatch):
    def chosen(device: str) -> str | None:
        subject = recipe(tmp_path, f"hardware.device={device}")
        return sft_command(subject, Run(subject)).env.get("PYTORCH_CUDA_ALLOC_CONF")

    for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    assert (chosen("cuda"), chosen("cpu")) == ("expandable_segments:True", None)
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "max_split_size_mb:128")
    assert chosen("cuda") is None


def test_an_optimizer_on_the_cpu_shares_its_threads_among_the_ranks(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    offloaded = recipe(tmp_path, "hardware.device=cuda", "gpus=4", "sft.verl.engine.offload_policy=true")
    assert sft_command(offloaded, Run(offloaded)).env["OMP_NUM_THREADS"] == "16"
    on_card = recipe(tmp_path, "hardware.device=cuda", "gpus=4")
    assert "OMP_NUM_THREADS" not in sft_command(on_card, Run(on_card)).env


def test_slurm_starts_several_nodes(tmp_path: Path):
    subject = recipe(tmp_path, "nodes=2", "gpus=1")
    argv = sft_command(subject, Run(subject)).argv
    assert argv[0] == "srun"
    assert {"--nodes=2", "--nnodes=2", "--nproc-per-node=1"} <= set(argv)
    assert [path.name for path in final_shards(subject, Run(subject))] == [
        "model_world_size_2_rank_0.pt",
        "model_world_size_2_rank_1.pt",
    ]


def test_settings_of_verl_pass_through(tmp_path: Path):
    subject = recipe(tmp_path, "sft.verl.data.train_max_samples=10", "sft.verl.optim.optimizer=Adam")
    settings = verl_settings(subject, Run(subject))
    assert settings["data"]["train_max_samples"] == 10
    assert settings["optim"]["optimizer"] == "Adam"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sft.verl.engine.ulysses_sequence_parallel_size=2"], "a sequence's weights need all of its tokens"),
        (["sft.verl.engine.strategy=fsdp"], "must be fsdp2"),
        (["sft.verl.model.use_fused_kernels=true"], "hides the logits"),
        (["sft.verl.model.use_liger=true"], "no forward-mode derivative"),
        (["sft.verl.data.pad_mode=right"], "pad_mode"),
        (["sft.verl.model.use_remove_padding=false"], "take packed rows; leave it out"),
        (["sft.verl.model.override_config.attn_implementation=sdpa"], "sdpa has no forward-mode derivative: leave it"),
        (["sft.batch_size=63"], "multiple of the 2 ranks"),
        (["sft.max_tokens_per_rank=200"], "cannot hold one example of data.cutoff_tokens=256 tokens"),
        (["init=eaft", "sft.verl.model.use_fused_kernels=true"], "hides the logits that init=eaft reads"),
        (["init.probe.batch_size=3"], "multiple of the 2 ranks"),
        (["init=vcore_half_cosine", "init.probe.batch_size=6"], "batch_size to a multiple of 4"),
        (["init=vcore_half_cosine", "init.probe.gradient=running"], "compares the halves of a probe batch"),
        (["sft.verl.optim.lr=1"], r"sft\.verl\.optim\.lr is set by sft\.learning_rate; set that"),
        (["sft.verl.trainer.n_gpus_per_node=1"], "is set by hardware.gpus; set that"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(tmp_path: Path, overrides: list[str], message: str):
    subject = recipe(tmp_path, *overrides)
    with pytest.raises(RecipeError, match=message) as error:
        sft_command(subject, Run(subject))
    assert "\n" not in str(error.value)


def test_liger_is_fine_without_forward_mode(tmp_path: Path):
    subject = recipe(tmp_path, "sft.verl.model.use_liger=true", "init.probe.derivative=central")
    sft_command(subject, Run(subject))


def finished(tmp_path: Path, steps: int) -> tuple[Recipe, Run]:
    subject = recipe(tmp_path, "sft.steps=3")
    run = Run(subject)
    run.sft.mkdir(parents=True)
    lines = [json.dumps({"step": step, "total": 3}) for step in range(1, steps + 1)]
    (run.sft / "metrics.jsonl").write_text("".join(line + "\n" for line in lines))
    for shard in final_shards(subject, run):
        shard.parent.mkdir(parents=True, exist_ok=True)
        shard.write_bytes(b"shard")
    return subject, run


def test_finished_stage_verifies(tmp_path: Path):
    verify_sft(*finished(tmp_path, steps=3))


def test_missing_steps_do_not_verify(tmp_path: Path):
    with pytest.raises(ArtefactError, match="has 2 steps"):
        verify_sft(*finished(tmp_path, steps=2))


def test_missing_shard_does_not_verify(tmp_path: Path):
    subject, run = finished(tmp_path, steps=3)
    final_shards(subject, run)[1].unlink()
    with pytest.raises(ArtefactError, match=r"rank_1\.pt is missing"):
        verify_sft(subject, run)


def test_missing_metrics_do_not_verify(tmp_path: Path):
    subject, run = finished(tmp_path, steps=3)
    (run.sft / "metrics.jsonl").unlink()
    with pytest.raises(ArtefactError, match="has 0 steps ending at none"):
        verify_sft(subject, run)
