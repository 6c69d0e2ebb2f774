"""Disk, tokens and hours of a recipe. Imports no torch.

Lengths are not known before the data are prepared: traces and responses are taken to be half as long as they may be.
"""

import math
from dataclasses import dataclass

from vcore_verl.config.recipe import BUILTIN
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.evaluation.command import sampling_of
from vcore_verl.preflight.estimate.memory import (
    EVALUATION_SHARE,
    GIB,
    ROLLOUT_SHARE,
    SEQUENCES,
    cache_tokens,
    offloaded_bytes,
)
from vcore_verl.preflight.estimate.settings import RL, Settings
from vcore_verl.rl.command import CHECKPOINTS_KEPT as RL_CHECKPOINTS
from vcore_verl.sft.command import CHECKPOINTS_KEPT as SFT_CHECKPOINTS

MEAN_SHARE = 0.5  # of the longest allowed trace or response
MEAN_PROMPT = 256  # tokens
TRAINING_UTILISATION, READING_UTILISATION = 0.35, 0.6  # of the published operations and bytes a second


@dataclass(frozen=True)
class Gpu:
    """Published figures: memory as CUDA reports it (bytes), dense bfloat16 operations a second, bytes a second."""

    name: str
    memory: float
    flops: float
    bandwidth: float


GPUS = (  # NVIDIA's data sheets, SXM versions, without sparsity
    Gpu("A100-80GB", 79.2 * GIB, 312e12, 2.04e12),
    Gpu("H100-80GB", 79.1 * GIB, 989e12, 3.35e12),
    Gpu("H200", 139.8 * GIB, 989e12, 4.8e12),
)


@dataclass(frozen=True)
class Item:
    """One line of the plan: an amount, and how it comes about."""

    name: str
    amount: float
    how: str


def disk(s: Settings) -> list[Item]:
    """Bytes of all checkpoints of one run at its fullest; trainings keep the newest two of theirs."""
    parameters = s.model.parameters
    items = []
    if not s.recipe.model.path.startswith(BUILTIN):
        items.append(Item("base model", 2 * parameters, "the hub's cache: 2 P"))
    if s.recipe.has_sft:
        size = SFT_CHECKPOINTS * (4 * s.in_sft + 8 * s.trainable_in_sft)
        items.append(Item("SFT checkpoints", size, f"{SFT_CHECKPOINTS} x (4 P + 8 of each trained)"))
        items.append(Item("SFT export", 4 * parameters, "4 P: float32"))
    if s.recipe.has_rl:
        items.append(Item("RL checkpoints", RL_CHECKPOINTS * 12 * parameters, f"{RL_CHECKPOINTS} x 12 P"))
        items.append(Item("RL export", 4 * parameters, "4 P: float32"))
    return items


def main_memory(s: Settings) -> list[Item]:
    """Bytes of main memory that a machine needs at the most.

    verl loads a model with tied embeddings whole on every rank, any other on one (transformer_impl.py:267), in float32;
    and keeps the reference policy's shards there.
    """
    parameters, gpus, nodes = s.model.parameters, s.recipe.hardware.gpus, s.recipe.hardware.nodes
    copies = gpus if s.model.tied else 1
    how = f"{copies} x 4 P while loading" + (", one for each rank: tied embeddings" if s.model.tied else "")
    items = [Item("models", copies * 4 * parameters, how), Item("processes", 2 * GIB * gpus, "2 GiB each: assumed")]
    if s.recipe.has_rl:
        if s.recipe.rl.kl_coef > 0:
            items.append(Item("reference policy", 4 * parameters / nodes, "its float32 shards: 4 P"))
        if offloaded := offloaded_bytes(s):
            items.append(Item("policy, offloaded", offloaded * parameters / nodes, f"{offloaded} P"))
    return items


def tokens(s: Settings) -> list[Item]:
    """Tokens of each part of a run, at the mean lengths assumed here."""
    recipe = s.recipe
    sft, rl = _sequences(s)
    items = []
    if recipe.has_sft:
        how = f"{recipe.sft.steps} steps x {recipe.sft.batch_size} x {_trace(s):,.0f}"
        items.append(Item("SFT", sft * _trace(s), how))
    if recipe.has_rl:
        how = (
            f"{recipe.rl.steps} steps x {recipe.rl.prompts_per_step} prompts x {recipe.rl.samples_per_prompt} x "
            f"{_response(s):,.0f}"
        )
        items.append(Item("RL, generated", rl * _response(s), how))
    evaluations, prompts, responses = _evaluations(s)
    length = MEAN_SHARE * recipe.evaluation.max_tokens
    how = f"{evaluations} evaluations x {prompts:,} prompts x {responses} x {length:,.0f}"
    return [*items, Item("evaluation, generated", evaluations * prompts * responses * length, how)]


def hours(s: Settings, gpu: Gpu) -> list[Item]:
    """Hours of each stage on the recipe's number of GPUs of one kind."""
    recipe = s.recipe
    items = []
    if recipe.has_sft:
        items.append(Item("SFT", _sft_seconds(s, gpu) / 3600, _sft_passes(s)))
    if recipe.has_rl:
        rollouts = recipe.rl.steps * _rollout_seconds(s, gpu)
        items.append(Item("RL, generation", rollouts / 3600, "weights and cache read for each token"))
        items.append(Item("RL, update", _update_seconds(s, gpu) / 3600, f"{_update_passes(s)} forward passes' worth"))
    evaluations, prompts, responses = _evaluations(s)
    shared = recipe.hardware.tensor_parallel
    each = generation_seconds(
        s, gpu, prompts * responses, recipe.evaluation.max_tokens, s.ranks, shared, EVALUATION_SHARE * gpu.memory
    )
    items.append(Item("evaluation", evaluations * each / 3600, f"{evaluations} evaluations"))
    return items


def step_seconds(s: Settings, gpu: Gpu, stage: str) -> float:
    """Seconds of a step of `stage`, "sft" (one that probes) or "rl". Infinite where the weights leave vLLM no room."""
    if stage == "rl":
        return _rollout_seconds(s, gpu) + _update_seconds(s, gpu) / s.recipe.rl.steps
    probe = s.recipe.init.probing
    passes = _passes(s, "sft") + (probe.every * _probe_passes(s) if probe else 0.0)
    return _sft_forward_seconds(s, gpu, s.recipe.sft.batch_size * passes)


def reference_seconds(s: Settings, gpu: Gpu) -> float:
    """Seconds of the initial model's pass over all training data, before the first step, where it is needed."""
    return _sft_forward_seconds(s, gpu, s.recipe.data.num_sft) if "reference" in s.recipe.init.needs else 0.0


def generation_seconds(
    s: Settings, gpu: Gpu, sequences: int, limit: int, gpus: int, tensor_parallel: int, share: float
) -> float:
    """Seconds to generate `sequences` responses of at most `limit` tokens, `share` bytes for vLLM on each GPU.

    Each engine works on as many sequences as its cache holds, 256 at most. A step of it reads all weights and their
    cached keys and values once, or is bound by operations; there are as many steps as the batches need, and never
    fewer than the longest response has tokens. Infinite where the weights leave no room for a cache.
    """
    mean, element = MEAN_SHARE * limit, s.element
    length = _prompt(s) + mean
    per_engine = sequences * tensor_parallel / gpus
    fitting = cache_tokens(s, share, tensor_parallel) / length
    if fitting == 0:
        return math.inf
    together = max(1.0, min(per_engine, SEQUENCES, fitting))
    read = element * s.model.parameters + together * length * s.model.kv_bytes(element)
    computed = together * s.model.forward_flops(length)
    step = max(
        read / (tensor_parallel * gpu.bandwidth * READING_UTILISATION),
        computed / (tensor_parallel * gpu.flops * TRAINING_UTILISATION),
    )
    return step * max(per_engine * mean / together, limit)


def _sft_passes(s: Settings) -> str:
    words = f"{_passes(s, 'sft'):.1f} forward passes' worth a token"
    extra = {"probe": _probe_passes(s), "reference": _reference_passes(s)}
    return words + "".join(f", {passes:.1f} of {name}" for name, passes in extra.items() if passes)


def _passes(s: Settings, section: str) -> float:
    """Cost of a training pass in forward passes: forward, backward through activations, and through trained weights.

    With gradient checkpointing the forward runs twice. Adapters spare the gradients of the weights.
    """
    full = section == "rl" or s.recipe.model.lora.rank == 0
    return 2.0 + full + s.checkpoints_activations(section)


def _probe_passes(s: Settings) -> float:
    """What a probe adds per training token, in forward passes.

    A forward-mode pass costs three where weights carry tangents, and two where only adapters do.
    """
    probe, full = s.recipe.init.probing, s.recipe.model.lora.rank == 0
    if probe is None:
        return 0.0
    gradient = _passes(s, "sft") * probe.batch_size / s.recipe.sft.batch_size
    derivative = {"jvp": 2.0 + full, "central": 2.0, "forward": 1.0}[probe.derivative]
    return (gradient * (probe.gradient == "fresh") + derivative) / probe.every


def _reference_passes(s: Settings) -> float:
    """What the initial model's log-probabilities, computed once, add per training token, in forward passes."""
    recipe = s.recipe
    return recipe.data.num_sft / (recipe.sft.steps * recipe.sft.batch_size) if "reference" in recipe.init.needs else 0.0


def _sft_seconds(s: Settings, gpu: Gpu) -> float:
    sequences, _ = _sequences(s)
    training = _sft_forward_seconds(s, gpu, sequences * (_passes(s, "sft") + _probe_passes(s)))
    return training + reference_seconds(s, gpu)


def _sft_forward_seconds(s: Settings, gpu: Gpu, sequences: float) -> float:
    """Seconds of forward passes over so many training sequences."""
    flops = sequences * _trace(s) * s.model.forward_flops(_trace(s))
    return flops / (s.ranks * gpu.flops * TRAINING_UTILISATION)


def _rollout_seconds(s: Settings, gpu: Gpu) -> float:
    """Seconds to generate the responses of one step of RL."""
    rl, share = s.recipe.rl, s.in_rl(f"{RL}.rollout.gpu_memory_utilization", ROLLOUT_SHARE)
    sequences = rl.prompts_per_step * rl.samples_per_prompt
    return generation_seconds(
        s, gpu, sequences, rl.max_response_tokens, s.rl_ranks, s.tensor_parallel, share * gpu.memory
    )


def _update_passes(s: Settings) -> float:
    """Log-probabilities of policy and reference, then the training pass."""
    return 1 + (s.recipe.rl.kl_coef > 0) + _passes(s, "rl")


def _update_seconds(s: Settings, gpu: Gpu) -> float:
    _, sequences = _sequences(s)
    length = _prompt(s) + _response(s)
    flops = sequences * length * _update_passes(s) * s.model.forward_flops(length)
    return flops / (s.rl_ranks * gpu.flops * TRAINING_UTILISATION)


def _sequences(s: Settings) -> tuple[int, int]:
    """Sequences of all steps of SFT and of RL."""
    sft, rl = s.recipe.sft, s.recipe.rl
    return sft.steps * sft.batch_size, rl.steps * rl.prompts_per_step * rl.samples_per_prompt


def _evaluations(s: Settings) -> tuple[int, int, int]:
    """Evaluations of a run, prompts in each, responses to a prompt."""
    recipe = s.recipe
    count = 1 + recipe.has_sft + recipe.has_rl
    datasets = recipe.evaluation.datasets
    sizes = [BENCHMARKS[name].size if name in BENCHMARKS else recipe.data.num_test for name in datasets]
    prompts = sum(min(size, recipe.evaluation.max_prompts or size) for size in sizes)
    return count, prompts, sampling_of(recipe).responses_per_prompt


def _trace(s: Settings) -> float:
    return MEAN_SHARE * s.recipe.data.cutoff_tokens


def _response(s: Settings) -> float:
    return MEAN_SHARE * s.recipe.rl.max_response_tokens


def _prompt(s: Settings) -> float:
    return min(MEAN_PROMPT, s.recipe.data.max_prompt_tokens)
