"""The stages of a run, in order. Imports no torch."""

import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from vcore_verl.config.checks import BUILTIN, BUILTIN_TASKS, SMOLLM2, is_code, rewards_programs
from vcore_verl.config.init_schema import Init
from vcore_verl.config.recipe import Recipe
from vcore_verl.config.rl_schema import Rl
from vcore_verl.config.schema import Data
from vcore_verl.data import generated
from vcore_verl.data.command import (
    SMOLLM2_PACKAGES,
    base_command,
    data_command,
    data_warnings,
    is_builtin,
    local_sources,
    model_files,
    samples,
    test_sets_command,
    verify_base,
    verify_data,
    verify_test_sets,
)
from vcore_verl.evaluation.command import evaluate_command, verify_evaluation
from vcore_verl.pipeline.code import code_of
from vcore_verl.pipeline.export_stage import export_command, export_warnings, verify_export
from vcore_verl.pipeline.stage import Stage, input_name
from vcore_verl.pipeline.tracking import tracking_command
from vcore_verl.preflight.estimate.peak import peak_memory
from vcore_verl.rl.command import reward_warnings, rl_command, verify_rl
from vcore_verl.runs.hashing import Digests
from vcore_verl.runs.layout import ArtefactError, Run
from vcore_verl.runtime.process import Command
from vcore_verl.sft.command import sft_command, verify_sft

TRAINING = ("model", "seed", "hardware")


def stages(recipe: Recipe, run: Run, digests: Digests | None = None) -> list[Stage]:
    """The stages of `recipe`; `digests` caches the hashes of exported checkpoints."""
    digests = digests or Digests(run.root / ".digests.json")
    return [
        *_shared(recipe, run),
        *_sft(recipe, run, digests),
        *_rl(recipe, run, digests),
        _report(run),
    ]


def _shared(recipe: Recipe, run: Run) -> Iterator[Stage]:
    if run.base_hf.parent == run.base:
        purpose, maker, keys, packages = _base(recipe.model.path)
        yield Stage(
            name="base",
            purpose=purpose,
            home=run.root,
            folder=run.base,
            artefacts=(run.base_hf,),
            command=partial(base_command, recipe, run),
            verify=partial(verify_base, recipe, run),
            keys=keys,
            packages=packages,
            code=partial(code_of, f"vcore_verl.{maker}"),
            inputs=tuple(model_files(recipe.model.path)),
        )
    generated_by = generated.packages(recipe.data.sft, recipe.data.rl)
    yield Stage(
        name="data",
        purpose="prepare the training sets",
        home=run.root,
        folder=run.data,
        own=(run.data / "sft.parquet", run.data / "rl.parquet", run.data / "data.json"),
        artefacts=(run.data / "sft.parquet", run.data / "rl.parquet"),
        command=partial(data_command, recipe, run),
        verify=partial(verify_data, recipe, run),
        warnings=partial(data_warnings, recipe, run),
        # Lengths are counted with the model's tokenizer.
        keys=(
            "model.path",
            *(f"data.{key.name}" for key in fields(Data) if key.name not in ("num_test", "num_validation")),
        ),
        packages=generated_by,
        code=partial(code_of, "vcore_verl.builtin.prepare" if is_builtin(recipe) else "vcore_verl.data.prepare"),
        inputs=tuple(local_sources(recipe)),
    )
    maker = "builtin.prepare" if is_builtin(recipe) else "data.test_sets"
    tests_of = ("data.sft", "data.rl") if generated_by else ()
    yield Stage(
        name="test_sets",
        purpose="prepare the evaluation sets",
        home=run.root,
        folder=run.data,
        artefacts=tuple(run.data / f"{name}.parquet" for name in recipe.evaluation.datasets),
        command=partial(test_sets_command, recipe, run),
        verify=partial(verify_test_sets, recipe, run),
        keys=("evaluation.datasets", "evaluation.max_prompts", "data.mirror", "data.num_test", *tests_of),
        packages=generated_by,
        code=partial(code_of, f"vcore_verl.{maker}", *(("vcore_verl.data.generated",) if tests_of else ())),
        inputs=tuple(samples(recipe)),
        keep=False,
    )
    yield _evaluation(recipe, run, "base")


def _base(path: str) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    """Of the stage that provides `model.path`: purpose, module, recipe keys and packages."""
    if not path.startswith(BUILTIN):
        return "fetch the base model", "data.fetch", ("model.path",), ()
    packages: tuple[str, ...] = ("torch", "transformers")
    if path == SMOLLM2:
        return (
            "read the base model from its package",
            "builtin.smollm2",
            ("model.path",),
            (*packages, *SMOLLM2_PACKAGES),
        )
    module = "builtin.base_model" if path in BUILTIN_TASKS else "builtin.random_model"
    return "make the built-in base model", module, ("base", "model.path", "model.dtype"), packages


def _sft(recipe: Recipe, run: Run, digests: Digests) -> Iterator[Stage]:
    if not recipe.has_sft:
        return
    yield Stage(
        name="sft",
        purpose=f"supervised fine-tuning with {recipe.init.name}",
        home=run.sft_home,
        folder=run.sft,
        artefacts=(run.sft / "metrics.jsonl",),
        command=partial(sft_command, recipe, run),
        verify=partial(verify_sft, recipe, run),
        remarks=partial(peak_memory, recipe, "sft", run.sft / "metrics.jsonl"),
        keys=(*TRAINING, "init", "sft", "data.cutoff_tokens"),
        packages=("verl", "torch", "transformers"),
        code=partial(code_of, "vcore_verl.sft.command", *_plugin(recipe), objective=recipe.init.name),
        inputs=(run.sft_start, run.data / "sft.parquet", *_own_file(recipe.init)),
        after=("base", "data"),
    )
    yield _export(recipe, run, "sft", digests)
    yield _evaluation(recipe, run, "pre_rl")


def _rl(recipe: Recipe, run: Run, digests: Digests) -> Iterator[Stage]:
    if not recipe.has_rl:
        return
    tested = [run.data / f"{recipe.primary_dataset}.parquet"] if recipe.rl.test_every else []
    yield Stage(
        name="rl",
        purpose=f"reinforcement learning with {recipe.rl.name}",
        home=run.rl_home,
        folder=run.rl,
        artefacts=(run.rl / "metrics.jsonl",),
        command=partial(rl_command, recipe, run),
        verify=partial(verify_rl, recipe, run),
        warnings=partial(reward_warnings, run),
        remarks=partial(peak_memory, recipe, "rl", run.rl / "metrics.jsonl"),
        keys=(*TRAINING, "rl", "data.max_prompt_tokens", *(("code",) if rewards_programs(recipe) else ())),
        packages=("verl", "torch", "transformers", "vllm", "math-verify"),
        code=partial(
            code_of,
            "vcore_verl.rl.command",
            "reward.own" if recipe.reward_file else "reward.custom_reward_function",
            *_plugin(recipe),
            algorithm=recipe.rl.method.name,
        ),
        inputs=(run.rl_start, run.data / "rl.parquet", *tested, *_own_file(recipe.rl), *_own_reward(recipe)),
        after=("base", "data", "test_sets", "export_sft"),
    )
    yield _export(recipe, run, "rl", digests)
    yield _evaluation(recipe, run, "post_rl")


def _own_file(section: Init | Rl) -> list[Path]:
    """The file of an objective or algorithm outside the package."""
    return [Path(section.file)] if section.file else []


def _plugin(recipe: Recipe) -> tuple[str, ...]:
    """The module that verl loads in every process of a CPU run."""
    return ("vcore_verl.cpu.plugin",) if recipe.hardware.device == "cpu" else ()


def _own_reward(recipe: Recipe) -> list[Path]:
    return [Path(recipe.reward_file)] if recipe.reward_file else []


def _export(recipe: Recipe, run: Run, stage: str, digests: Digests) -> Stage:
    home, training, target = {
        "sft": (run.sft_home, run.sft, run.sft_hf),
        "rl": (run.rl_home, run.rl, run.rl_hf),
    }[stage]
    return Stage(
        name=f"export_{stage}",
        purpose=f"export the {stage.upper()} checkpoint and reload it",
        home=home,
        folder=target,
        artefacts=(target,),
        command=partial(export_command, recipe, run, stage),
        verify=partial(verify_export, target, digests),
        warnings=partial(export_warnings, target, stage, recipe.model.dtype),
        keys=("model",),
        packages=("torch", "transformers"),
        code=partial(code_of, "vcore_verl.pipeline.export"),
        inputs=(training / "metrics.jsonl",),  # instead of the checkpoints, which are too large to hash
        after=(stage,),
    )


def _evaluation(recipe: Recipe, run: Run, stage: Any) -> Stage:
    """The stage that evaluates the base model, or the checkpoint before or after RL."""
    home, checkpoint, folder, purpose, after = {
        "base": (run.root, run.base_hf, run.eval_base, "evaluate the base model", "base"),
        "pre_rl": (run.sft_home, run.sft_hf, run.eval_pre, "evaluate before RL", "export_sft"),
        "post_rl": (run.rl_home, run.rl_hf, run.eval_post, "evaluate after RL", "export_rl"),
    }[stage]
    datasets = [run.data / f"{name}.parquet" for name in recipe.evaluation.datasets]
    return Stage(
        name=f"evaluate_{stage}",
        purpose=purpose,
        home=home,
        folder=folder,
        artefacts=(folder / "results.json", folder / "samples.parquet"),
        command=partial(evaluate_command, recipe, run, stage),
        verify=partial(verify_evaluation, recipe, run, stage),
        keys=(
            *("evaluation", "model.path", "model.dtype", "hardware.device"),
            *(("code.fusion_url",) if is_code(recipe) else ()),
        ),
        packages=("vllm", "math-verify"),
        code=partial(code_of, "vcore_verl.evaluation.command"),
        inputs=(checkpoint, *datasets, *_own_reward(recipe)),
        extends=frozenset({"evaluation.datasets", *(input_name(path, run) for path in datasets)}),
        after=(after, "test_sets", "base"),
        tracking=partial(tracking_command, recipe, run, folder) if recipe.tracking else None,
    )


def _report(run: Run) -> Stage:
    written = run.report / "comparison.json"

    def verify() -> None:
        if not written.is_file():
            raise ArtefactError(f"{written} is missing")

    def command() -> Command:
        argv = [sys.executable, "-m", "vcore_verl", "report", str(run.root)]
        return Command(argv=argv, env={}, progress=run.report / "progress.jsonl", total=1, unit="report")

    return Stage(
        name="report",
        purpose="compare all runs of the recipe",
        home=run.report,
        folder=run.report,
        artefacts=(written,),
        command=command,
        verify=verify,
        keys=("comparison",),
        code=partial(code_of, "vcore_verl.report"),
        inputs=(
            run.eval_base / "results.json",
            run.root / "*" / "seed*" / "eval" / "results.json",
            run.root / "*" / "seed*" / "*" / "eval" / "results.json",
        ),
        after=("evaluate_base", "evaluate_pre_rl", "evaluate_post_rl"),
        keep=False,
    )
