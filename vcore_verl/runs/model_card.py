"""The model card of an exported checkpoint: how it was made, and its scores once evaluated. Imports no torch."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from safetensors import safe_open

from vcore_verl.config.recipe import Recipe, RecipeError, read
from vcore_verl.config.rl_schema import RlLora
from vcore_verl.config.schema import Lora
from vcore_verl.runs.hashing import MODEL_CARD, write_whole
from vcore_verl.runs.layout import Run
from vcore_verl.runs.manifest import Manifest

# Stage -> levels from its home up to the recipe's folder, and the label of its checkpoint.
STAGES = {"sft": (2, "after SFT"), "rl": (3, "after RL")}


def write_card(checkpoint: Path, command: str | None = None) -> None:
    """Write README.md into `checkpoint` = <home>/sft/hf or <home>/rl/hf, from the run's files so far.

    In Markdown, with the hub's metadata on top. The export writes it without results; the report rewrites it with them
    and with the full `command`. If the run has no recipe that this version can read, nothing is written.
    """
    run, stage = checkpoint.parent.parent, checkpoint.parent.name
    if not (run / "recipe.yaml").is_file():
        return
    try:
        recipe = read(run / "recipe.yaml")
    except RecipeError:
        return
    objective = {"SFT objective": recipe.init.name} if recipe.has_sft else {}
    steps = [f"SFT with {recipe.init.name}"] * recipe.has_sft + [f"RL with {recipe.rl.name}"] * (stage == "rl")
    rl = recipe.rl_word if stage == "rl" else "none"
    made_by = f"bash scripts/sft_then_grpo.sh {recipe.word} init={recipe.init_word} rl={rl} seed={recipe.seed}"
    metadata = {"base_model": recipe.model.path, "library_name": "transformers", "pipeline_tag": "text-generation"}
    settings = {"seed": str(recipe.seed)} | objective | training(recipe, run, stage)
    lines = [
        f"---\n{OmegaConf.to_yaml(metadata)}---",
        f"# {recipe.name}: {recipe.model.path} after {' and '.join(steps)}",
        f"\nMade by vcore-verl: `{command or made_by}`. The run's `recipe.yaml` has every setting.\n",
        *_table(("", ""), list(settings.items())),
        "\nThe weights are float32. Loading them with `dtype=torch.bfloat16` halves the memory, but rounds away small "
        "changes made by training.",
        f"\n## Results\n\n{_results(run, stage)}",
        f"\n## Versions\n\n{_versions(run)}\n",
    ]
    write_whole(checkpoint / MODEL_CARD, "\n".join(lines))


def training(recipe: Recipe, run: Path, stage: str) -> dict[str, str]:
    """Model, data and hyperparameters up to the end of `stage`, without the SFT objective and the seed."""
    sft, rl, data = recipe.sft, recipe.rl, recipe.data
    parameters = num_parameters(Run(recipe).base_hf)
    size = f", {parameters:,} parameters" if parameters else ""
    found = {
        "model": f"{recipe.model.path}{size}, computed in {recipe.model.dtype}",
        "evaluated on": ", ".join(recipe.evaluation.datasets),
    }
    if recipe.has_sft:
        found |= {
            "SFT data": f"{data.sft}, {data.num_sft:,} examples{_data_hash(run, 'sft')}",
            "SFT": f"{sft.steps} steps of {sft.batch_size}, learning rate {sft.learning_rate:g}, "
            f"{_trained(recipe.model.lora)}",
        }
    if stage == "rl":
        found |= {
            "RL data": f"{data.rl}, {data.num_rl:,} prompts{_data_hash(run, 'rl')}",
            "RL": f"{rl.name}, {rl.steps} steps of {rl.prompts_per_step} prompts, {rl.samples_per_prompt} responses "
            f"each, learning rate {rl.learning_rate:g}, KL coefficient {rl.kl_coef:g}, "
            f"{_trained(rl.lora)}",
        }
    return found


def _trained(lora: Lora | RlLora) -> str:
    return f"LoRA of rank {lora.rank}, alpha {lora.alpha}, merged" if lora.rank else "all parameters"


def num_parameters(checkpoint: Path) -> int:
    """Parameters in a checkpoint's safetensors files, from their headers; 0 if there are none."""
    total = 0
    for path in checkpoint.glob("*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total


def _data_hash(run: Path, stage: str) -> str:
    """The start of the SHA-256 of `stage`'s training rows, from its record."""
    for folder in (run, run.parent):  # an RL run is stored below the SFT run that it starts from
        depends = Manifest(folder / "manifest.json").stages.get(stage, {}).get("depends", {})
        if digest := depends.get(f"data/{stage}.parquet"):
            return f" (SHA-256 {digest[:12]}...)"
    return ""


def _results(run: Path, stage: str) -> str:
    levels, label = STAGES[stage]
    path = run / "eval" / "results.json"
    if not path.is_file():
        return f"Not evaluated yet; the results will be in the run's `{path.relative_to(run)}`."
    results = json.loads(path.read_text())
    base_path = run.parents[levels - 1] / "base" / "eval" / "results.json"
    base = json.loads(base_path.read_text())["datasets"] if base_path.is_file() else {}
    rows = [
        (name, _accuracy(base.get(name)), _accuracy(summary), str(summary["num_prompts"]))
        for name, summary in results["datasets"].items()
    ]
    sampling = results["sampling"]
    return "\n".join(
        [
            f"Accuracy (%) with its 95 % interval over prompts: mean of {sampling['num_samples']} samples at "
            f"temperature {sampling['temperature']:g}, at most {sampling['max_tokens']} tokens.\n",
            *_table(("", "base model", label, "prompts"), rows),
        ]
    )


def _accuracy(summary: dict[str, Any] | None) -> str:
    if summary is None:
        return ""
    low, high = summary["avg_at_n"]["ci95"]
    return f"{100 * summary['avg_at_n']['mean']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _versions(run: Path) -> str:
    manifest = json.loads((run / "manifest.json").read_text())
    packages = [f"{name} {version}" for name, version in manifest["versions"].items() if version is not None]
    return ", ".join([*packages, f"commit {manifest['git_commit']}"])


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (header, ("---",) * len(header), *rows)]
