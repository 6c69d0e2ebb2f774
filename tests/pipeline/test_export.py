import json
import subprocess
import sys
import textwrap
from functools import partial

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from vcore_verl.builtin import base_model, tokenizer
from vcore_verl.config.recipe import load
from vcore_verl.config.schema import Base
from vcore_verl.pipeline import export, export_stage, proof
from vcore_verl.runs.hashing import Digests, file_sha
from vcore_verl.runs.layout import ArtefactError, Run

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
    export.export(tmp_path / "shards", start, tmp_path / "hf", "float32")
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
    export.export(tmp_path / "shards", start, tmp_path / "hf", "float32")
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
        export.export(tmp_path / "shards", start, tmp_path / "hf", "float32")


def test_training_that_changed_nothing_is_refused(start, tmp_path):
    shard(start, tmp_path / "shards", step=0.0)
    with pytest.raises(ArtefactError, match="training changed nothing"):
        export.export(tmp_path / "shards", start, tmp_path / "hf", "float32")
    assert not (tmp_path / "hf").exists()


def test_training_that_diverged_is_refused(start, tmp_path):
    tensors = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32).state_dict()
    tensors["model.norm.weight"][0] = torch.nan
    (tmp_path / "shards").mkdir()
    torch.save(tensors, tmp_path / "shards" / "model_world_size_1_rank_0.pt")
    with pytest.raises(ArtefactError, match=r"model\.norm\.weight that are not finite: training diverged"):
        export.export(tmp_path / "shards", start, tmp_path / "hf", "float32")


def test_an_export_is_verified_by_remembered_hashes(tmp_path, monkeypatch):
    recipe = load("tiny", [f"output_dir={tmp_path}"])
    hf = Run(recipe).sft_hf
    hf.mkdir(parents=True)
    (hf / "model.safetensors").write_text("weights")
    (hf / "export.json").write_text(
        json.dumps({"update_kept": 1.0, "sha256": {"model.safetensors": file_sha(hf / "model.safetensors")}})
    )
    digests = Digests(tmp_path / "digests.json")
    export_stage.verify_export(hf, digests)
    monkeypatch.setattr("vcore_verl.runs.hashing.file_sha", lambda path: pytest.fail(f"{path} is read again"))
    export_stage.verify_export(hf, digests)
    monkeypatch.undo()
    (hf / "model.safetensors").write_text("other weights")
    with pytest.raises(ArtefactError, match="is not the file that was exported"):
        export_stage.verify_export(hf, digests)


def test_a_directory_without_shards_is_refused(start, tmp_path):
    with pytest.raises(ArtefactError, match="holds no model shards"):
        export.export(tmp_path, start, tmp_path / "hf", "float32")


def adapt(start, directory, rank, alpha, b_rms, a_width=None):
    """Adapters on the model of `start` whose B has the root mean square `b_rms`, saved as verl saves them.

    PEFT draws A uniformly up to 1 / sqrt(inputs); `a_width` draws it as for that many inputs.
    """
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    lora = LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = get_peft_model(base, lora).eval()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=b_rms)
        elif "lora_A" in name and a_width:
            torch.nn.init.uniform_(parameter, -(a_width**-0.5), a_width**-0.5)
    directory.mkdir()
    torch.save(adapted.state_dict(), directory / "model_world_size_1_rank_0.pt")
    meta = {"r": rank, "lora_alpha": alpha, "task_type": "CAUSAL_LM"}
    (directory / "lora_train_meta.json").write_text(json.dumps(meta))
    return adapted


def test_adapters_are_merged_into_the_model_they_were_trained_on(start, tmp_path):
    adapted = adapt(start, tmp_path / "shards", rank=4, alpha=8, b_rms=0.1)
    export.export(tmp_path / "shards", start, tmp_path / "hf", "float32")
    token_ids = torch.randint(0, 256, (2, 20))
    with torch.no_grad():
        expected = adapted(input_ids=token_ids).logits
        found = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")(input_ids=token_ids).logits
        untrained = AutoModelForCausalLM.from_pretrained(start)(input_ids=token_ids).logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (found - untrained).abs().max() > 0.1


@pytest.fixture
def published(tmp_path):
    """A checkpoint as models are published: bfloat16, weights of about 0.03."""
    torch.manual_seed(1)
    tokens = tokenizer.build()
    size = Base(layers=2, hidden_size=256, heads=4, kv_heads=2, intermediate_size=512)
    model = base_model.build_model(size, tokens, seed=0)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.03)
    model.to(torch.bfloat16).save_pretrained(tmp_path / "start")
    tokens.save_pretrained(tmp_path / "start")
    return tmp_path / "start"


def share_kept(kept, trained, start):
    """<kept - start, dW> / <dW, dW> over the weights that training changed, dW = trained - start."""
    names = [name for name in trained if name.endswith("_proj.weight")]
    flat = [torch.cat([weights[name].double().flatten() for name in names]) for weights in (kept, trained, start)]
    change = flat[1] - flat[2]
    return float((flat[0] - flat[2]) @ change / (change @ change))


# The paper's learning rates sum to 1e-3 over its 100 steps of SFT, which bounds how far an entry of B moves under Adam.
@pytest.mark.parametrize(("b_rms", "rounded"), [(2e-4, 0.25), (5e-4, 0.56), (1e-3, 0.83)])
def test_an_export_keeps_the_small_update_that_bfloat16_loses(published, tmp_path, b_rms, rounded):
    width = 2560  # of Qwen3-4B: a smaller model's A, and so its update, would be larger
    adapted = adapt(published, tmp_path / "shards", rank=8, alpha=16, b_rms=b_rms, a_width=width)
    export.export(tmp_path / "shards", published, tmp_path / "hf", "bfloat16")

    start = AutoModelForCausalLM.from_pretrained(published, dtype=torch.float32).state_dict()
    trained = adapted.merge_and_unload().state_dict()
    written = load_file(tmp_path / "hf" / "model.safetensors")
    merged_and_rounded = {name: weight.to(torch.bfloat16) for name, weight in trained.items()}
    assert share_kept(written, trained, start) == pytest.approx(1.0, abs=1e-3)
    assert share_kept(merged_and_rounded, trained, start) == pytest.approx(rounded, abs=0.03)

    record = json.loads((tmp_path / "hf" / "export.json").read_text())
    assert record["update_kept"] == pytest.approx(1.0, abs=1e-3)
    assert record["update_kept_in_bfloat16"] == pytest.approx(rounded, abs=0.03)


def test_files_that_lost_the_training_are_refused(published, tmp_path):
    adapt(published, tmp_path / "shards", rank=8, alpha=16, b_rms=5e-4, a_width=2560)
    start = AutoModelForCausalLM.from_pretrained(published, dtype=torch.float32)
    trained = export.restore(tmp_path / "shards", published).merge_and_unload()
    trained.save_pretrained(tmp_path / "rounded")
    rounded = AutoModelForCausalLM.from_pretrained(tmp_path / "rounded", dtype=torch.bfloat16)
    rounded.save_pretrained(tmp_path / "rounded")
    update = proof.update(trained, start, tmp_path / "rounded", torch.bfloat16)
    with pytest.raises(ArtefactError, match=r"holds 5\d% of what training changed, and 90% is needed"):
        export.require_kept(update, tmp_path / "shards", published, tmp_path / "rounded")


def test_files_of_other_weights_are_refused(start, tmp_path):
    adapt(start, tmp_path / "shards", rank=4, alpha=8, b_rms=0.1)
    before = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    trained = export.restore(tmp_path / "shards", start).merge_and_unload()
    trained.save_pretrained(tmp_path / "hf")
    with torch.no_grad():
        trained.model.norm.weight.add_(1e-6)
    update = proof.update(trained, before, tmp_path / "hf", torch.float32)
    with pytest.raises(ArtefactError, match="holds other weights than"):
        export.require_kept(update, tmp_path / "shards", start, tmp_path / "hf")


def test_a_model_without_the_training_computes_other_logits(published, tmp_path):
    adapt(published, tmp_path / "shards", rank=8, alpha=16, b_rms=2e-4, a_width=2560)
    texts = proof.token_ids(AutoTokenizer.from_pretrained(published))
    before = proof.logits(AutoModelForCausalLM.from_pretrained(published, dtype=torch.float32), texts)
    trained = proof.logits(export.restore(tmp_path / "shards", published), texts)
    with pytest.raises(ArtefactError, match="computes other logits than the trained one"):
        proof.require_logits(before, trained, before)


@pytest.fixture
def exported(tmp_path):
    """The folder of an export that keeps the share which the test sets."""

    def record(**shares):
        (tmp_path / "export.json").write_text(json.dumps({"sha256": {}, **shares}))
        return tmp_path

    return record


def test_a_training_that_inference_hardly_sees_is_a_warning(exported):
    warned = partial(export_stage.export_warnings, stage="sft", dtype="bfloat16")
    assert warned(exported(update_kept=1.0, update_kept_in_bfloat16=0.93)) == []
    (line,) = warned(exported(update_kept=1.0, update_kept_in_bfloat16=0.563))
    assert line.startswith("evaluation and rollouts in bfloat16 see 56% of what SFT changed")
    assert "sft.learning_rate" in line


def test_an_export_that_says_nothing_of_what_it_kept_is_made_again(exported, tmp_path):
    digests = Digests(tmp_path / "digests.json")
    export_stage.verify_export(exported(update_kept=1.0), digests)
    with pytest.raises(ArtefactError, match="does not say how much of the training was kept"):
        export_stage.verify_export(exported(), digests)
