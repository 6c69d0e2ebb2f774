"""What cannot be trained on the recipe's hardware, said before anything starts. Imports no torch.

Global batch sizes do not follow the hardware, so they have to come out even on it. verl asserts the same
(workers/engine_workers.py:267), but only once the model is loaded.
"""

from collections.abc import Mapping
from typing import Any

from vcore_verl.recipe import Recipe, RecipeError


def check(recipe: Recipe, verl: Mapping[str, Any]) -> None:
    """Raise `RecipeError`, one line, for the first number that does not fit; `verl` is verl's PPO configuration."""
    rl, trainer, rollout = recipe.rl, verl["trainer"], verl["actor_rollout_ref"]["rollout"]
    gpus, nodes, engine = trainer["n_gpus_per_node"], trainer["nnodes"], rollout["tensor_model_parallel_size"]
    longest = recipe.data.max_prompt_tokens + rl.max_response_tokens
    for message, applies in {
        f"{gpus} GPUs a node must be a multiple of the {engine} that share a vLLM engine (hardware.tensor_parallel)": (
            gpus % engine != 0
        ),
        f"rl.mini_batch_prompts={rl.mini_batch_prompts} times rl.samples_per_prompt={rl.samples_per_prompt} must be a "
        f"multiple of the {gpus * nodes} ranks": rl.mini_batch_prompts * rl.samples_per_prompt % (gpus * nodes) != 0,
        f"rl.prompts_per_step={rl.prompts_per_step} must be a multiple of "
        f"rl.mini_batch_prompts={rl.mini_batch_prompts}": rl.prompts_per_step % rl.mini_batch_prompts != 0,
        f"rl.max_tokens_per_rank={rl.max_tokens_per_rank} cannot hold one sequence of data.max_prompt_tokens + "
        f"rl.max_response_tokens = {longest} tokens": rl.max_tokens_per_rank < longest,
    }.items():
        if applies:
            raise RecipeError(message)
