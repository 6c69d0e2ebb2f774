"""Export of a training checkpoint to Hugging Face format, and the proof that the export is what it should be.

verl's own merger rounds to bfloat16 (verl/model_merger/fsdp_model_merger.py:180) and, under LoRA, writes the base
model; so the shards are joined here, in the dtype they were trained in, and adapters are merged by PEFT.

    python -m vcore_verl.checkpoint SHARDS START TARGET DTYPE

SHARDS is the directory of a verl checkpoint that holds model_world_size_*_rank_*.pt.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vcore_verl.data.rendering import end_of_sequence
from vcore_verl.digest import file_sha
from vcore_verl.model_card import write_card
from vcore_verl.process import Command
from vcore_verl.recipe import Recipe
from vcore_verl.run import ArtefactError, Run

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def export_command(recipe: Recipe, run: Run, stage: str) -> Command:
    """Export the last checkpoint of `stage` ("sft" or "rl")."""
    shards, start, target = _places(recipe, run, stage)
    argv = [sys.executable, "-m", "vcore_verl.checkpoint", str(shards), str(start), str(target), recipe.model.dtype]
    return Command(argv=argv, env={}, progress=target.parent / "export.jsonl", total=1, unit="checkpoint")


def verify_export(recipe: Recipe, run: Run, stage: str) -> None:
    """Raise `ArtefactError` unless the exported files hash as recorded when the export had proved itself."""
    _, _, target = _places(recipe, run, stage)
    record = target / "export.json"
    if not record.is_file():
        raise ArtefactError(f"{record} is missing: the export did not finish")
    for name, digest in json.loads(record.read_text())["sha256"].items():
        if not (target / name).is_file() or file_sha(target / name) != digest:
            raise ArtefactError(f"{target / name} is not the file that was exported")


def export(shards: Path, start: Path | str, target: Path, dtype: str) -> None:
    """Restore the model from `shards` and write it to `target` in `dtype` ("float32", "bfloat16"), whole or not at all.

    `start` is the checkpoint that training began from: it gives configuration, tokenizer and generation settings, and
    the export must differ from it. Raises `ArtefactError` when it does not, or when the written model does not reload
    to the same tensors.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    precision = getattr(torch, dtype)
    model = restore(shards, start).to(precision)
    tokenizer = AutoTokenizer.from_pretrained(start)
    align_end_of_sequence(model, tokenizer)
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    reloaded = AutoModelForCausalLM.from_pretrained(partial, dtype=precision).state_dict()
    if any(not torch.equal(tensor, reloaded[name]) for name, tensor in model.state_dict().items()):
        raise ArtefactError(f"{target} does not reload to the weights of {shards}")
    before = AutoModelForCausalLM.from_pretrained(start, dtype=precision).state_dict()
    if all(torch.equal(tensor, before[name]) for name, tensor in reloaded.items()):
        raise ArtefactError(f"the weights of {shards} are those of {start}: training changed nothing")
    digests = {path.name: file_sha(path) for path in sorted(partial.iterdir())}
    (partial / "export.json").write_text(json.dumps({"source": str(shards), "sha256": digests}, indent=2) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def align_end_of_sequence(model: "PreTrainedModel", tokenizer: Any) -> None:
    """Make tokenizer, configuration and generation settings end where training taught the model to.

    That is the token that closes an assistant's turn in the chat template; tokens at which the starting checkpoint
    stopped stay, after it, and so do its sampling defaults. vLLM stops at the tokenizer's token and at those of the
    generation settings (vllm/sampling_params.py:649).
    """
    trained = end_of_sequence(tokenizer)
    assert model.generation_config is not None
    before = model.generation_config.eos_token_id
    others = before if isinstance(before, list) else [before, tokenizer.eos_token_id]
    ends = list(dict.fromkeys([trained, *(token_id for token_id in others if token_id is not None)]))
    model.generation_config.eos_token_id = model.config.eos_token_id = ends if len(ends) > 1 else trained
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(trained)


def restore(shards: Path, start: Path | str) -> "PreTrainedModel":
    """The trained model in float32, adapters merged. Raises `ArtefactError` when merging changes what it computes."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    tensors = join_shards(shards)
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    adapted = sorted({name.split(".lora_A.")[0] for name in tensors if ".lora_A." in name})
    if not adapted:
        _load(model, tensors, shards)
        return model
    meta = json.loads((shards / "lora_train_meta.json").read_text())
    modules = [name.removeprefix("base_model.model.") for name in adapted]
    lora = LoraConfig(r=meta["r"], lora_alpha=meta["lora_alpha"], target_modules=modules, task_type="CAUSAL_LM")
    wrapped = get_peft_model(model, lora).eval()
    _load(wrapped, tensors, shards)
    token_ids = torch.arange(1, 17).unsqueeze(0)
    with torch.no_grad():
        expected = wrapped(input_ids=token_ids).logits
        merged: Any = wrapped.merge_and_unload()
        found = merged(input_ids=token_ids).logits
    if not torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max())):
        raise ArtefactError(f"the merged model computes other logits than base and adapter of {shards}")
    return merged


def _load(model: "torch.nn.Module", tensors: dict[str, "torch.Tensor"], shards: Path) -> None:
    """Load every tensor, and raise `ArtefactError` where tied parameters were trained apart: one would be lost."""
    import torch

    model.load_state_dict(tensors, strict=True)
    lost = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, tensors[name].to(tensor))]
    if lost:
        raise ArtefactError(f"{shards} holds other values for {lost[0]} than for the parameter it is tied to")


def join_shards(directory: Path) -> dict:
    """Name -> full tensor, from the FSDP2 shards that verl saved (utils/checkpoint/fsdp_checkpoint_manager.py:300).

    Shards are DTensors split along dimension 0; what is not a DTensor is the same on every rank.
    """
    import torch
    from torch.distributed.tensor import DTensor, Shard

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


def _places(recipe: Recipe, run: Run, stage: str) -> tuple[Path, Path, Path]:
    """Shards, starting checkpoint and target of an export."""
    if stage == "sft":
        return run.sft_checkpoints / f"global_step_{recipe.sft.steps}", run.sft_start, run.sft_hf
    return run.rl_checkpoints / f"global_step_{recipe.rl.steps}" / "actor", run.rl_start, run.rl_hf


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m vcore_verl.checkpoint", description=__doc__)
    parser.add_argument("shards", type=Path)
    parser.add_argument("start")
    parser.add_argument("target", type=Path)
    parser.add_argument("dtype", choices=["float32", "bfloat16"])
    args = parser.parse_args()
    export(args.shards, args.start, args.target, args.dtype)
    write_card(args.target)
    with (args.target.parent / "export.jsonl").open("w") as progress:
        progress.write(json.dumps({"step": 1, "total": 1}) + "\n")


if __name__ == "__main__":
    main()
