"""Checks that the types of a recipe cannot express: ranges, inconsistent values, settings without effect.

Imports no torch.
"""

import ast
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from vcore_verl.config.declarations import parsed
from vcore_verl.config.errors import RecipeError
from vcore_verl.config.rl_schema import RlLora
from vcore_verl.config.schema import Data, Lora, Recipe, described

BUILTIN = "builtin:"  # models and data sets made locally from fixed seeds
# What is both a pretrained model and data, with its evaluation sets.
BUILTIN_TASKS = {
    "builtin:arithmetic": ("in_domain", "out_of_domain"),
    "builtin:laboratory": ("in_domain", "out_of_domain", "kept"),
    "builtin:laboratory_new": ("in_domain", "out_of_domain", "kept"),
    "builtin:puzzles": ("in_domain", "out_of_domain"),
}
LABORATORIES = ("builtin:laboratory", "builtin:laboratory_new")
READ_ALL = ("builtin:arithmetic", "builtin:puzzles")  # their tokens are bytes; those of the others, their words
# Sources and evaluation sets of programming problems; all others are mathematics.
CODE = {
    "builtin:puzzles",
    *(f"agentica-org/DeepCoder-Preview-Dataset:{language}" for language in ("cpp", "python")),
    *(f"nvidia/OpenCodeReasoning-2:{language}" for language in ("cpp", "python")),
    "nvidia/OpenCodeReasoning",
    "XanderGong/VCORE-data:code",
    *("livecodebench", "livecodebench_window", "livecodebench_cpp", "ojbench_cpp", "ojbench_python"),
    *("humanevalplus", "mbppplus"),
}
SMOLLM2 = "builtin:smollm2"  # a published model, from a package
REASONING_GYM = "reasoning_gym:"  # data sets that a package generates
MADE_HERE = (BUILTIN, REASONING_GYM)
REWARD_FUNCTION = "compute_score"  # verl's name for it
MADE_TESTS = {name for tests in BUILTIN_TASKS.values() for name in tests}  # evaluation sets of what is made here


def check(recipe: Recipe) -> None:
    """Raise `RecipeError` for the first value that is invalid, by itself or together with another."""
    for key, setting, value in described(recipe):
        if refusal := setting.refusal(value):
            raise RecipeError(f"{key}={value} {refusal}")
    for message in _wrong(recipe):
        raise RecipeError(message)
    for key, path in {"model.path": recipe.model.path, "data.sft": recipe.data.sft, "data.rl": recipe.data.rl}.items():
        if _is_local(path) and not Path(path).expanduser().exists():
            raise RecipeError(f"{key}={path} does not exist; give a path that does, or a hub id")
    if recipe.reward_file:
        _check_reward(Path(recipe.reward_file))


def is_published(model: str) -> bool:
    """Whether a `model.path` is a model that others trained, from the hub, a directory or a package."""
    return not model.startswith(BUILTIN) or model == SMOLLM2


def is_code(recipe: Recipe) -> bool:
    """Whether programs are run: to prepare problems for RL, in RL or in evaluation."""
    return bool({recipe.data.rl, *recipe.evaluation.datasets} & CODE)


def rewards_programs(recipe: Recipe) -> bool:
    """Whether the reward in RL runs programs: of the training problems, or those that it is tested on."""
    tested = recipe.has_rl and recipe.rl.test_every and recipe.primary_dataset in CODE
    return recipe.data.rl in CODE or bool(tested)


def check_effect(recipe: Recipe, given: Mapping[str, str], changed: Collection[str]) -> None:
    """Raise `RecipeError` for a setting that would be ignored.

    `given` maps each key that was set to the name of the file that set it, or "" for an override. A file's setting may
    be ignored if the cause is one of the `changed` keys and groups, those that the user or a scale overrode.
    """
    for prefix, cause, reason in _ignored(recipe):
        for key, file in given.items():
            if (key == prefix or key.startswith(f"{prefix}.")) and not (file and cause in changed):
                raise RecipeError(f"{f'{file}: ' * bool(file)}{key} would be ignored: {reason}; leave it out")


def _ignored(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    """Keys or sections without effect, the key or group that causes it, and the reason.

    All runs of a recipe share its data, so `data` takes effect even without SFT or without RL.
    """
    model, data, probe = recipe.model, recipe.data, recipe.init.probing
    if not recipe.has_sft:
        yield from ((key, "init", "init=none runs no SFT") for key in ("init", "sft", "model.lora"))
    if not recipe.has_rl:
        yield "rl", "rl", "rl=none runs no RL"
    yield from ((f"rl.{key}", "rl", f"rl={recipe.rl.name} does not read it") for key in recipe.rl.method.ignores)
    if model.lora.rank == 0:
        for key in ("model.lora.alpha", "model.lora.dropout"):
            yield key, "model.lora.rank", "model.lora.rank=0 trains all parameters"
    if recipe.rl.lora.rank == 0:
        yield "rl.lora.alpha", "rl.lora.rank", "rl.lora.rank=0 trains all parameters"
    if is_published(model.path):
        yield "base", "model.path", f"model.path={model.path} is published"
        yield "model.family", "scale", "only scale=smoke builds a model of the family"
    elif model.path not in BUILTIN_TASKS:
        for key in ("base.steps", "base.batch_size", "base.learning_rate"):
            yield key, "model.path", f"model.path={model.path} is not pretrained"
    if not is_code(recipe):
        yield "code", "data.rl", "the recipe has no problems of programming"
    elif not rewards_programs(recipe):
        yield "code.max_tests", "data.rl", "RL runs no programs, and evaluation runs all tests"
    if data.sft.startswith(MADE_HERE):
        yield "data.sft_revision", "data.sft", f"data.sft={data.sft} is made here"
    if data.rl.startswith(MADE_HERE):
        for key in ("data.solve_rate", "data.rl_revision"):
            yield key, "data.rl", f"data.rl={data.rl} is made here"
    if data.sft.startswith(BUILTIN):
        yield "data.decontaminate", "data.sft", f"data.sft={data.sft} is made here"
    tests = set(recipe.evaluation.datasets)
    if tests <= MADE_TESTS:
        yield "evaluation.max_prompts", "evaluation.datasets", "all evaluation sets are made here"
        if data.sft.startswith(MADE_HERE) and data.rl.startswith(MADE_HERE) and not _decontaminates(data):
            yield "data.mirror", "evaluation.datasets", "training and evaluation sets are all made here"
    if not tests & MADE_TESTS:
        yield "data.num_test", "evaluation.datasets", "the size of a benchmark is evaluation.max_prompts"
    for role, source in {"sft": data.sft, "rl": data.rl}.items():
        if _is_local(source):
            yield f"data.{role}_revision", f"data.{role}", f"data.{role}={source} is on this machine"
        elif data.mirror:
            yield f"data.{role}_revision", "data.mirror", "data.mirror holds copies on this machine"
    if recipe.init.shuffled and getattr(recipe.init, "level", None) == "sequence":
        yield "init.placebo", "init.level", "init.level=sequence gives all tokens of a sequence the same weight"
    if getattr(recipe.rl, "rule", "gvm") != "gvm":
        for key in ("rl.alpha", "rl.beta"):
            yield key, "rl.rule", f"rl.rule={recipe.rl.rule} is not regularized"  # type: ignore[attr-defined]
    if getattr(recipe.init, "level", None) == "sequence":
        for key in ("init.block", "init.gamma"):
            yield key, "init.level", "init.level=sequence weights all tokens of a sequence alike"
    if probe and probe.derivative == "jvp":
        yield "init.probe.epsilon", "init.probe.derivative", "init.probe.derivative=jvp takes no step"
    if probe and probe.gradient == "running":
        for key in ("init.probe.batch_size", "init.probe.cutoff_tokens"):
            yield key, "init.probe.gradient", "init.probe.gradient=running uses the training batches and draws none"
    if probe and probe.cutoff_tokens is not None and probe.cutoff_tokens >= data.cutoff_tokens:
        reason = f"no sequence is longer than data.cutoff_tokens={data.cutoff_tokens}"
        yield "init.probe.cutoff_tokens", "data.cutoff_tokens", reason


def _wrong(recipe: Recipe) -> Iterator[str]:
    """Messages about values that are inconsistent, or that no run can have."""
    init, sft, rl, data = recipe.init, recipe.sft, recipe.rl, recipe.data
    if not (recipe.has_sft or recipe.has_rl):
        yield "init=none and rl=none together leave nothing to train"
    for key, name in {"variant": recipe.variant, "rl.variant": rl.variant}.items():
        if not re.fullmatch(r"[A-Za-z0-9._+@%=-]*", name):
            yield f"{key}={name} becomes part of a folder name: use letters, digits and ._+@%=-"
    adapters: dict[str, Lora | RlLora] = {"model.lora": recipe.model.lora, "rl.lora": rl.lora}
    for key, lora in adapters.items():
        if lora.rank > 0 and lora.alpha == 0:
            yield f"{key}.alpha={lora.alpha} must be positive: adapters are scaled by alpha / rank"
    if data.solve_rate is not None and (len(data.solve_rate) != 2 or data.solve_rate[0] > data.solve_rate[1]):
        yield f"data.solve_rate={data.solve_rate} must be [low, high] within [0, 1]"
    task, tests = recipe.model.path, BUILTIN_TASKS.get(recipe.model.path, ())
    its_own = {data.sft, data.rl} == {task} and set(recipe.evaluation.datasets) <= set(tests)
    if task in BUILTIN_TASKS and task not in READ_ALL and not its_own:
        yield (
            f"model.path={task} knows the words of its task alone: set data.sft and data.rl to it, "
            f"and evaluation.datasets to some of {', '.join(tests)}"
        )
    if "kind" in init.needs and data.sft not in BUILTIN_TASKS:
        yield (
            f"init={init.name} needs the kinds of tokens, which only built-in tasks have: "
            f"set data.sft and data.rl to one of {', '.join(BUILTIN_TASKS)}"
        )
    if "behaviour" in init.needs and data.sft not in LABORATORIES:
        yield (
            f"init={init.name} needs the probabilities with which the SFT traces were written, which only the "
            f"laboratory knows: set data.sft and data.rl to one of {', '.join(LABORATORIES)}"
        )
    if not recipe.evaluation.datasets:
        yield "evaluation.datasets is empty: name at least one"
    yield from _wrong_primary(recipe)
    if init.declaration and data.num_sft < sft.batch_size:
        yield f"data.num_sft={data.num_sft} examples do not fill a batch of sft.batch_size={sft.batch_size}"
    if init.declaration and len(sft.betas) != 2:
        yield f"sft.betas={sft.betas} must be two numbers"
    for group in init.declaration.exactly_one if init.declaration else ():
        if sum(getattr(init, name) is not None for name in group) != 1:
            keys = " and ".join(f"init.{name}" for name in group)
            yield f"give exactly one of {keys}, and null for the other{'s' * (len(group) > 2)}"
    if recipe.has_rl and data.num_rl < rl.prompts_per_step:
        yield f"data.num_rl={data.num_rl} prompts do not fill a step of rl.prompts_per_step={rl.prompts_per_step}"
    if recipe.has_rl and rl.overlong_buffer > rl.max_response_tokens:
        yield (
            f"rl.overlong_buffer={rl.overlong_buffer} must not exceed rl.max_response_tokens={rl.max_response_tokens}"
        )
    if recipe.has_rl and rl.overlong_buffer and rl.method.binary:
        yield f"rl.overlong_buffer={rl.overlong_buffer} shapes rewards, and rl={rl.name} needs 0 and 1: set it to 0"


def _check_reward(file: Path) -> None:
    """Raise `RecipeError` unless `file` can be parsed and defines `compute_score`."""
    try:
        tree = parsed(file)
    except RecipeError as error:
        raise RecipeError(f"reward_file={error}") from error
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    if not any(isinstance(node, functions) and node.name == REWARD_FUNCTION for node in tree.body):
        raise RecipeError(
            f"reward_file={file} does not define {REWARD_FUNCTION}, a function of data_source, solution_str, "
            "ground_truth and extra_info"
        )


def _wrong_primary(recipe: Recipe) -> Iterator[str]:
    """What evaluation does not measure."""
    primary, names = recipe.comparison.primary, recipe.evaluation.datasets
    if primary.dataset is not None and primary.dataset not in names:
        yield f"comparison.primary.dataset={primary.dataset} is not evaluated; choose one of {', '.join(names)}"
    if primary.decoding == "greedy" and not recipe.evaluation.greedy:
        yield "comparison.primary.decoding=greedy needs evaluation.greedy=true"


def _decontaminates(data: Data) -> bool:
    """Whether training leaves out a benchmark's problems, which have to be read for that."""
    return not data.sft.startswith(BUILTIN) and data.decontaminate != []


def _is_local(path: str) -> bool:
    """Whether `path` can only be a local path: hub ids look like `owner/name`."""
    return path.startswith((os.sep, "./", "../", "~")) or path.endswith((".parquet", ".jsonl"))
