"""The stages of a run that is evaluated on the validation set alone, to choose settings. Imports no torch."""

from dataclasses import fields
from functools import partial
from pathlib import Path

from vcore_verl.config.recipe import Recipe
from vcore_verl.data import generated
from vcore_verl.data.command import is_builtin, local_sources, validation_command, verify_validation
from vcore_verl.evaluation.command import command_for, verify_results
from vcore_verl.evaluation.job import Sampling
from vcore_verl.pipeline.code import code_of
from vcore_verl.pipeline.stage import Stage
from vcore_verl.pipeline.stages import stages
from vcore_verl.runs.hashing import Digests
from vcore_verl.runs.layout import VALIDATION, Run


def validation_stages(recipe: Recipe, run: Run, digests: Digests | None = None) -> list[Stage]:
    """The stages of `recipe` up to its last checkpoint, and the evaluation of that on the validation set.

    No test set is used: training is shared with the run that is evaluated on those.
    """
    kept = [stage for stage in stages(recipe, run, digests) if not stage.name.startswith(("evaluate", "report"))]
    shared = [stage for stage in kept if stage.home == run.root]
    return [*shared, _validation_set(recipe, run), *kept[len(shared) :], _evaluation(recipe, run)]


def _validation_set(recipe: Recipe, run: Run) -> Stage:
    module = "builtin.prepare" if is_builtin(recipe) else "data.validation"
    return Stage(
        name="validation_set",
        purpose="prepare the validation set",
        home=run.root,
        folder=run.data,
        artefacts=(run.validation_set,),
        command=partial(validation_command, recipe, run),
        verify=partial(verify_validation, recipe, run),
        keys=("data", "model.path", "evaluation.datasets"),
        packages=generated.packages(recipe.data.rl),
        code=partial(code_of, f"vcore_verl.{module}"),
        inputs=(run.data / "sft.parquet", run.data / "rl.parquet", *local_sources(recipe)),
        after=("base", "data"),
        keep=False,
    )


def _evaluation(recipe: Recipe, run: Run) -> Stage:
    trained, checkpoint = ("rl", run.rl_hf) if recipe.has_rl else ("sft", run.sft_hf)
    files = {VALIDATION: run.validation_set}
    return Stage(
        name=f"validate_{trained}",
        purpose=f"evaluate after {trained.upper()} on the validation set",
        home=run.dir,
        folder=run.validation,
        artefacts=(run.validation / "results.json", run.validation / "samples.parquet"),
        command=partial(command_for, recipe, checkpoint, run.validation, files, VALIDATION),
        verify=partial(verify_results, recipe, run.validation, files),
        keys=(
            *(f"evaluation.{item.name}" for item in fields(Sampling)),
            "model.path",
            "model.dtype",
            "hardware.device",
        ),
        packages=("vllm", "math-verify"),
        code=partial(code_of, "vcore_verl.evaluation.command"),
        inputs=(checkpoint, run.validation_set, *([Path(recipe.reward_file)] if recipe.reward_file else [])),
        after=(f"export_{trained}", "validation_set", "base"),
    )
