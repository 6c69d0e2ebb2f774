"""Export of a training checkpoint to Hugging Face format, and verification of the export.

verl's own merger rounds to bfloat16 (verl/model_merger/fsdp_model_merger.py:180) and, with LoRA, writes the base model.
So the shards are joined here, in the float32 they were trained in, and PEFT merges adapters. The export is float32
regardless of the model's dtype: base weights are bfloat16 values, a short LoRA training moves most of them by less than
half a bfloat16 step, and RL's master weights are float32 (verl/trainer/config/engine/fsdp.yaml:33).

    python -m vcore_verl.pipeline.export SHARDS START TARGET DTYPE

SHARDS is the directory of a verl checkpoint with model_world_size_*_rank_*.pt; DTYPE is the data type of inference.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch.distributed.tensor import DTensor, Shard
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from vcore_verl.data.rendering import end_of_sequence
from vcore_verl.pipeline import proof
from vcore_verl.pipeline.export_stage import LEAST_KEPT, RECORD, seen_by
from vcore_verl.runs.hashing import file_sha
from vcore_verl.runs.layout import ArtefactError
from vcore_verl.runs.metrics_file import MetricsFile
from vcore_verl.runs.model_card import write_card


def export(shards: Path, start: Path | str, target: Path, dtype: str) -> None:
    """Restore the model from `shards` and write it to `target` in float32, atomically.

    `start` is the checkpoint that training began from: it provides configuration, tokenizer and generation settings,
    and the export must differ from it. `dtype` ("float32", "bfloat16") is that of inference: export.json records the
    share of the weight update that was written, and the share that survives rounding to `dtype`. Raises `ArtefactError`
    if training changed nothing, if the files hold less than `LEAST_KEPT` of the update, or if they do not reload to a
    model with the trained model's logits.
    """
    tokenizer = AutoTokenizer.from_pretrained(start)
    texts = proof.token_ids(tokenizer)
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    update, trained, before = _write(shards, start, partial, tokenizer, texts, getattr(torch, dtype))
    require_kept(update, shards, start, partial)
    reloaded = AutoModelForCausalLM.from_pretrained(partial, dtype=torch.float32)
    proof.require_logits(proof.logits(reloaded, texts), trained, before)
    record = {"source": str(shards), "update_kept": update.kept, seen_by(dtype): update.kept_in_dtype}
    digests = {path.name: file_sha(path) for path in sorted(partial.iterdir())}
    (partial / RECORD).write_text(json.dumps(record | {"sha256": digests}, indent=2) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def _write(
    shards: Path, start: Path | str, folder: Path, tokenizer: Any, texts: list[torch.Tensor], dtype: torch.dtype
) -> tuple[proof.Update, torch.Tensor, torch.Tensor]:
    """Write the trained model to `folder`. Returns what the files keep of the weight update, the logits of the trained
    model before adapters are merged, and the logits of the starting model.

    At most two models are in memory at a time, none afterwards.
    """
    model: Any = restore(shards, start)
    trained = proof.logits(model, texts)
    if isinstance(model, PeftModel):
        model = model.merge_and_unload()
    align_end_of_sequence(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    before = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    return proof.update(model, before, folder, dtype), trained, proof.logits(before, texts)


def require_kept(update: proof.Update, shards: Path, start: Path | str, written: Path) -> None:
    """Raise `ArtefactError` unless training changed the weights and `written` holds the trained weights."""
    if update.square == 0:
        raise ArtefactError(f"the weights of {shards} are those of {start}: training changed nothing")
    if update.kept < LEAST_KEPT:
        raise ArtefactError(
            f"{written} holds {update.kept:.0%} of what training changed, and {LEAST_KEPT:.0%} is needed: write it in "
            "float32, since rounding loses what is smaller than half a step of the data type"
        )
    if not update.exact:
        raise ArtefactError(f"{written} holds other weights than {shards}")


def align_end_of_sequence(model: PreTrainedModel, tokenizer: Any) -> None:
    """Set the end-of-sequence token of tokenizer, configuration and generation settings to the trained one.

    That is the token that closes an assistant's turn in the chat template. The starting checkpoint's stop tokens are
    kept after it, and so are its sampling defaults. vLLM stops at the tokenizer's token and at those of the generation
    settings (vllm/sampling_params.py:649).
    """
    trained = end_of_sequence(tokenizer)
    assert model.generation_config is not None
    before = model.generation_config.eos_token_id
    others = before if isinstance(before, list) else [before, tokenizer.eos_token_id]
    ends = list(dict.fromkeys([trained, *(token_id for token_id in others if token_id is not None)]))
    model.generation_config.eos_token_id = model.config.eos_token_id = ends if len(ends) > 1 else trained
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(trained)


def restore(shards: Path, start: Path | str) -> PreTrainedModel | PeftModel:
    """The trained model in float32 for inference, adapters not merged."""
    tensors = join_shards(shards)
    model: Any = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    adapted = sorted({name.split(".lora_A.")[0] for name in tensors if ".lora_A." in name})
    if adapted:
        meta = json.loads((shards / "lora_train_meta.json").read_text())
        modules = [name.removeprefix("base_model.model.") for name in adapted]
        lora = LoraConfig(r=meta["r"], lora_alpha=meta["lora_alpha"], target_modules=modules, task_type="CAUSAL_LM")
        model = get_peft_model(model, lora).eval()
    _load(model, tensors, shards)
    return model


def _load(model: torch.nn.Module, tensors: dict[str, torch.Tensor], shards: Path) -> None:
    """Load every tensor. Raise `ArtefactError` if one is not finite, or if tied parameters have diverged: one of them
    would be lost.
    """
    if diverged := [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]:
        raise ArtefactError(f"{shards} holds values for {diverged[0]} that are not finite: training diverged")
    model.load_state_dict(tensors, strict=True)
    lost = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, tensors[name].to(tensor))]
    if lost:
        raise ArtefactError(f"{shards} holds other values for {lost[0]} than for the parameter it is tied to")


def join_shards(directory: Path) -> dict:
    """Name -> full tensor, from the FSDP2 shards that verl saved (utils/checkpoint/fsdp_checkpoint_manager.py:300).

    Shards are DTensors split along dimension 0; anything else is the same on every rank.
    """
    paths = sorted(directory.glob("model_world_size_*_rank_*.pt"), key=lambda path: int(path.stem.rsplit("_", 1)[1]))
    if not paths:
        raise ArtefactError(f"{directory} holds no model shards")
    ranks = [torch.load(path, map_location="cpu", weights_only=False) for path in paths]
    joined = {}
    for name, first in ranks[0].items():
        if isinstance(first, DTensor) and isinstance(split := first.placements[-1], Shard):
            joined[name] = torch.cat([rank[name].to_local() for rank in ranks], dim=split.dim)
        else:
            joined[name] = first.to_local() if isinstance(first, DTensor) else first
    return joined


def main(shards: Path, start: str, target: Path, dtype: str) -> None:
    export(shards, start, target, dtype)
    record = json.loads((target / RECORD).read_text())
    kept, seen = record["update_kept"], record[seen_by(dtype)]
    print(f"the files keep {kept:.1%} of what training changed, inference in {dtype} sees {seen:.1%} of it")
    write_card(target)
    MetricsFile(target.parent / "export.jsonl", 1).log({}, 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4])
