import json
import subprocess
import sys
import textwrap

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from vcore_verl import checkpoint
from vcore_verl.data import base_model, tokenizer
from vcore_verl.digest import file_sha
from vcore_verl.recipe import Base
from vcore_verl.run import ArtefactError

SMALL = Base(layers=2, hidden_size=32, heads=2, kv_heads=1, intermediate_size=64)

# Two ranks shard a model as verl's engine does, add 1 to every weight, and save what verl's checkpoint manager saves.
SHARD = textwrap.dedent("""
    import sys, torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    start, shards, step = sys.argv[1], sys.argv[2], float(sys.argv[3])
    torch.distributed.init_process_group("gloo")
    rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    for layer in model.model.layers:
        fully_shard(layer, mesh=init_device_mesh("cpu", (size,)))
    fully_shard(model, mesh=init_device_mesh("cpu", (size,)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(step)
    torch.save(model.state_dict(), f"{shards}/model_world_size_{size}_rank_{rank}.pt")
    torch.distributed.destroy_process_group()
""")


@pytest.fixture
def start(tmp_path):
    tokens = tokenizer.build()
    base_model.build_model(SMALL, tokens, seed=0).save_pretrained(tmp_path / "start")
    tokens.save_pretrained(tmp_path / "start")
    return tmp_path / "start"


def shard(start, directory, step):
    directory.mkdir()
    script = directory.parent / "shard.py"
    script.write_text(SHARD)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    subprocess.run([*launcher, str(start), str(directory), str(step)], check=True, capture_output=True, timeout=120)


def test_an_export_joins_the_shards_of_all_ranks_without_rounding(start, tmp_path):
    shard(start, tmp_path / "shards", step=1.0)
    checkpoint.export(tmp_path / "shards", start, tmp_path / "hf", "float32")
    before = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32).state_dict()
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype=torch.float32)
    assert all(torch.equal(tensor, before[name] + 1.0) for name, tensor in after.state_dict().items())
    assert after.lm_head.weight is after.model.embed_tokens.weight
    assert after.generation_config.eos_token_id == tokenizer.build().eos_token_id
    record = json.loads((tmp_path / "hf" / "export.json").read_text())
    assert record["sha256"]["model.safetensors"] == file_sha(tmp_path / "hf" / "model.safetensors")


def test_an_export_stops_where_training_ended_and_where_the_base_stopped(start, tmp_path):
    # Like a base checkpoint: its tokenizer and generation settings name the end of a document.
    tokens = AutoTokenizer.from_pretrained(start)
    trained, document = tokens.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    tokens.eos_token = "<|endoftext|>"
    tokens.save_pretrained(start)
    settings = {"eos_token_id": document, "temperature": 0.6, "do_sample": True}
    (start / "generation_config.json").write_text(json.dumps(settings))
    shard(start, tmp_path / "shards", step=1.0)
    checkpoint.export(tmp_path / "shards", start, tmp_path / "hf", "float32")
    exported = GenerationConfig.from_pretrained(tmp_path / "hf")
    assert exported.eos_token_id == [trained, document]
    assert (exported.temperature, exported.do_sample) == (0.6, True)
    assert AutoConfig.from_pretrained(tmp_path / "hf").eos_token_id == [trained, document]
    assert AutoTokenizer.from_pretrained(tmp_path / "hf").eos_token_id == trained
    assert AutoTokenizer.from_pretrained(tmp_path / "hf").chat_template == tokens.chat_template


def test_tied_parameters_that_were_trained_apart_are_refused(start, tmp_path):
    tensors = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32).state_dict()
    tensors["lm_head.weight"] = tensors["lm_head.weight"] + 1.0
    (tmp_path / "shards").mkdir()
    torch.save(tensors, tmp_path / "shards" / "model_world_size_1_rank_0.pt")
    with pytest.raises(ArtefactError, match=r"other values for .* than for the parameter it is tied to"):
        checkpoint.export(tmp_path / "shards", start, tmp_path / "hf", "float32")


def test_training_that_changed_nothing_is_refused(start, tmp_path):
    shard(start, tmp_path / "shards", step=0.0)
    with pytest.raises(ArtefactError, match="training changed nothing"):
        checkpoint.export(tmp_path / "shards", start, tmp_path / "hf", "float32")
    assert not (tmp_path / "hf").exists()


def test_a_directory_without_shards_is_refused(start, tmp_path):
    with pytest.raises(ArtefactError, match="holds no model shards"):
        checkpoint.export(tmp_path, start, tmp_path / "hf", "float32")


def test_adapters_are_merged_into_the_model_they_were_trained_on(start, tmp_path):
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    adapted = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    (tmp_path / "shards").mkdir()
    torch.save(adapted.state_dict(), tmp_path / "shards" / "model_world_size_1_rank_0.pt")
    (tmp_path / "shards" / "lora_train_meta.json").write_text('{"r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM"}')
    checkpoint.export(tmp_path / "shards", start, tmp_path / "hf", "float32")
    token_ids = torch.randint(0, 256, (2, 20))
    with torch.no_grad():
        expected = adapted(input_ids=token_ids).logits
        found = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")(input_ids=token_ids).logits
        untrained = AutoModelForCausalLM.from_pretrained(start)(input_ids=token_ids).logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (found - untrained).abs().max() > 0.1
