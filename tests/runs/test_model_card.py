import json

import pytest
import torch
from safetensors.torch import save_file

from vcore_verl.config.recipe import load, save
from vcore_verl.runs.hashing import Digests
from vcore_verl.runs.layout import Run
from vcore_verl.runs.model_card import write_card


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "tiny" / "vcore" / "seed0" / "grpo"
    for stage in ("sft", "rl"):
        (folder / stage / "hf").mkdir(parents=True)
        (folder / stage / "hf" / "config.json").write_text("{}")
    save(load("tiny", []), folder / "recipe.yaml")
    (folder / "manifest.json").write_text(
        json.dumps({"versions": {"verl": "0.9.1", "vllm": None}, "git_commit": "0a1b", "stages": {}})
    )
    return folder


def test_the_card_says_how_the_checkpoint_was_made(run):
    for stage in ("sft", "rl"):
        write_card(run / stage / "hf")
    sft, rl = ((run / stage / "hf" / "README.md").read_text() for stage in ("sft", "rl"))
    assert sft.startswith("---\nbase_model: builtin:arithmetic\nlibrary_name: transformers\n")
    assert "# tiny: builtin:arithmetic after SFT with vcore\n" in sft
    assert "`bash scripts/sft_then_grpo.sh tiny init=vcore rl=none seed=0`" in sft
    assert "| SFT | 100 steps of 32, learning rate 0.0015, all parameters |" in sft
    assert "| model | builtin:arithmetic, computed in float32 |" in sft
    assert "The weights are float32. Loading them with `dtype=torch.bfloat16`" in sft
    assert "RL" not in sft.partition("## Results")[0].partition("seed=0")[2]
    assert "# tiny: builtin:arithmetic after SFT with vcore and RL with grpo\n" in rl
    steps = "15 steps of 64 prompts, 4 responses each"
    assert f"| RL | grpo, {steps}, learning rate 0.0001, KL coefficient 0.001, all parameters |" in rl
    assert "| evaluated on | in_domain, out_of_domain |" in rl
    assert "the results will be in the run's `eval/results.json`" in rl
    assert rl.endswith("verl 0.9.1, commit 0a1b\n")


def test_the_card_says_which_training_was_of_adapters(run):
    save(load("tiny", ["rl.lora={rank:8,alpha:16}"]), run / "recipe.yaml")
    write_card(run / "rl" / "hf")
    text = (run / "rl" / "hf" / "README.md").read_text()
    assert "| SFT | 100 steps of 32, learning rate 0.0015, all parameters |" in text
    assert "KL coefficient 0.001, LoRA of rank 8, alpha 16, merged |" in text


def test_a_card_changes_nothing_that_depends_on_the_checkpoint(run, tmp_path):
    digests = Digests(tmp_path / "digests.json")
    before = digests.of(run / "sft" / "hf")
    write_card(run / "sft" / "hf")
    assert digests.of(run / "sft" / "hf") == before


def test_a_recipe_of_another_version_leaves_the_card(run):
    write_card(run / "sft" / "hf")
    (run / "recipe.yaml").write_text("former_key: 1\n")
    before = (run / "sft" / "hf" / "README.md").read_text()
    write_card(run / "sft" / "hf")
    assert (run / "sft" / "hf" / "README.md").read_text() == before


def test_the_card_states_the_size_of_the_model_and_the_data(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    tensors = {"a": torch.zeros(3, 5), "b": torch.zeros(2)}
    base = Run(load("tiny", [])).base_hf
    base.mkdir(parents=True)
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    record = json.loads((run / "manifest.json").read_text())
    record["stages"]["sft"] = {"depends": {"data/sft.parquet": "0123456789abcdef"}}
    (run / "manifest.json").write_text(json.dumps(record))
    write_card(run / "sft" / "hf")
    text = (run / "sft" / "hf" / "README.md").read_text()
    assert "builtin:arithmetic, 17 parameters" in text
    assert "builtin:arithmetic, 2,000 examples (SHA-256 0123456789ab...)" in text
