"""Settings that cannot be trained, or would be trained wrongly, rejected before anything starts. Imports no torch.

Global batch sizes do not depend on the hardware, so they must be divisible by its ranks. verl asserts the same
(workers/engine_workers.py:267), but only after the model is loaded.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from vcore_verl.config.algorithms import ALLOCATE
from vcore_verl.config.overrides import flat, lookup
from vcore_verl.config.recipe import Recipe, RecipeError
from vcore_verl.runs.layout import Run

# Where verl reads the number of ranks that share a sequence: the actor's own key overrides its engine's, and the
# reference policy follows the actor (verl/workers/config/actor.py:328, trainer/config/ref/dp_ref.yaml).
SEQUENCE_PARALLEL = tuple(
    f"actor_rollout_ref.{place}.ulysses_sequence_parallel_size"
    for place in ("actor", "actor.fsdp_config", "ref", "ref.fsdp_config")
)
ATTENTION = "actor_rollout_ref.model.override_config.attn_implementation"
REWARD_OPTIONS = "reward.custom_reward_function.reward_kwargs"
# verl's advantage estimators that do not compare the responses to a prompt (trainer/ppo/core_algos.py).
WITHOUT_GROUPS = ("gae", "reinforce_plus_plus", "remax")


def check(recipe: Recipe, verl: Mapping[str, Any]) -> None:
    """Raise a one-line `RecipeError` for the first invalid setting; `verl` is verl's PPO configuration."""
    for key in SEQUENCE_PARALLEL:
        ranks = lookup(verl, key) or 1
        if ranks > 1 and not gathers_sequences(verl):
            raise RecipeError(
                f"rl.verl.{key}={ranks} needs flash attention: with any other, each rank would attend only to its own "
                "slice of a sequence and train on wrong log-probabilities; set it to 1, or install flash-attn and set "
                f"rl.verl.{ATTENTION}=flash_attention_2"
            )
    _check_algorithm(recipe)
    rl, trainer, rollout = recipe.rl, verl["trainer"], verl["actor_rollout_ref"]["rollout"]
    gpus, nodes, engine = trainer["n_gpus_per_node"], trainer["nnodes"], rollout["tensor_model_parallel_size"]
    estimator = verl["algorithm"]["adv_estimator"]
    longest, sharing = recipe.data.max_prompt_tokens + rl.max_response_tokens, _sequence_parallel(verl)
    for message, applies in {
        f"rl.samples_per_prompt={rl.samples_per_prompt} leaves {estimator} nothing to compare a response with: "
        "use at least 2": rl.samples_per_prompt < 2 and rl.method.groups and estimator not in WITHOUT_GROUPS,
        f"rl.verl.trainer.n_gpus_per_node={gpus} is more than hardware.gpus={recipe.hardware.gpus}: raise that": (
            gpus > recipe.hardware.gpus
        ),
        f"{gpus} GPUs a node must be a multiple of the {engine} that share a vLLM engine (hardware.tensor_parallel)": (
            gpus % engine != 0
        ),
        f"rl.mini_batch_prompts={rl.mini_batch_prompts} times rl.samples_per_prompt={rl.samples_per_prompt} must be a "
        f"multiple of the {gpus * nodes} ranks": rl.mini_batch_prompts * rl.samples_per_prompt % (gpus * nodes) != 0,
        f"rl.prompts_per_step={rl.prompts_per_step} must be a multiple of "
        f"rl.mini_batch_prompts={rl.mini_batch_prompts}": rl.prompts_per_step % rl.mini_batch_prompts != 0,
        f"rl.max_tokens_per_rank={rl.max_tokens_per_rank} cannot hold one sequence of data.max_prompt_tokens + "
        f"rl.max_response_tokens = {longest} tokens": rl.max_tokens_per_rank * sharing < longest,
    }.items():
        if applies:
            raise RecipeError(message)


def _check_algorithm(recipe: Recipe) -> None:
    """Raise `RecipeError` if `rl.verl` replaces a part of the algorithm, or shapes rewards that have to be binary."""
    rl = recipe.rl
    own, given = flat(rl.method.settings), flat(rl.verl)
    if replaced := [key for key in given if any(f"{key}.".startswith(f"{name}.") for name in own)]:
        raise RecipeError(f"rl.verl.{replaced[0]} is what rl={rl.name} sets; leave it out, or choose another rl")
    for message in _impossible_allocation(rl) if ALLOCATE in rl.method.hooks else ():
        raise RecipeError(message)
    shaped = [key for key in given if key.startswith(REWARD_OPTIONS)]
    if shaped and rl.method.binary:
        raise RecipeError(f"rl.verl.{shaped[0]} may shape rewards, and rl={rl.name} needs 0 and 1: leave it out")


def _impossible_allocation(rl: Any) -> Iterator[str]:
    """Messages about the settings of an algorithm that allocates responses."""
    least = max(rl.lowest, 0 if rl.discard_pilot else rl.pilot)
    if rl.dynamic_sampling:
        yield f"rl.dynamic_sampling=true replaces prompts that rl={rl.name} gives few responses: set it to false"
    if rl.lowest < least:
        yield f"rl.lowest={rl.lowest} is below rl.pilot={rl.pilot}, which every prompt has: set it to {least}"
    if rl.method.groups and rl.lowest < 2:
        yield f"rl.lowest={rl.lowest} leaves nothing to compare a response with: use at least 2"
    if not rl.lowest < rl.samples_per_prompt < rl.highest:
        yield (
            f"rl.samples_per_prompt={rl.samples_per_prompt}, the mean number of responses, must be between "
            f"rl.lowest={rl.lowest} and rl.highest={rl.highest}"
        )


def _sequence_parallel(verl: Mapping[str, Any]) -> int:
    """Ranks that share a sequence, which hold it together (verl/workers/engine/utils.py:111); the fewest of policy and
    reference.
    """
    actor, actors_engine, ref, refs_engine = (lookup(verl, key) for key in SEQUENCE_PARALLEL)
    ref = ref or actor
    return min(own if own and own > 1 else engine or 1 for own, engine in ((actor, actors_engine), (ref, refs_engine)))


def gathers_sequences(verl: Mapping[str, Any]) -> bool:
    """Whether attention gathers a sequence that several ranks share.

    verl gives each rank a slice of every micro-batch with any attention (workers/engine/fsdp/transformer_impl.py:1228),
    but gathers the slices only in flash attention (models/transformers/monkey_patch.py:544).
    """
    return lookup(verl, ATTENTION) == "flash_attention_2"


def check_fused_kernels(verl: Mapping[str, Any], run: Run) -> None:
    """Raise `RecipeError` if verl's fused kernels would read an output matrix that FSDP2 has sharded separately.

    FSDP2 does so if the embeddings are not tied (verl/utils/fsdp_utils.py:559), and the kernels use the weight without
    the forward pass that would gather it (verl/models/transformers/dense_common.py:125). Nothing is checked before the
    model is on this machine; the check is repeated when RL starts.
    """
    if not lookup(verl, "actor_rollout_ref.model.use_fused_kernels"):
        return
    for checkpoint in (run.rl_start, run.base_hf):
        config = checkpoint / "config.json"
        if config.is_file() and not json.loads(config.read_text()).get("tie_word_embeddings"):
            raise RecipeError(
                f"rl.verl.actor_rollout_ref.model.use_fused_kernels=true needs tied embeddings, which the model in "
                f"{config} does not have; set it to false"
            )
