"""Disk, main memory, tokens and hours of a recipe. Imports no torch."""

import math
from dataclasses import dataclass

from vcore_verl.config.checks import BUILTIN
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.preflight.estimate.measured import measured
from vcore_verl.preflight.estimate.memory import EVALUATION_SHARE, GIB, SEQUENCES, cache_tokens, offloaded
from vcore_verl.preflight.estimate.settings import Settings
from vcore_verl.rl.command import CHECKPOINTS_KEPT as RL_CHECKPOINTS
from vcore_verl.sft.command import CHECKPOINTS_KEPT as SFT_CHECKPOINTS
from vcore_verl.sft.limits import LOOK_AHEAD

MEAN_SHARE = 0.5  # mean length relative to the limit, of traces and responses: actual lengths are not known in advance
MEAN_PROMPT = 256  # tokens
ROLLOUT = "RL, generation"
TRAINING_UTILISATION, READING_UTILISATION = 0.35, 0.6  # shares of the published operations and bytes per second


# Assumed for any machine: seconds from the start of a process (imports, Ray, vLLM's compilation) until it trains or
# generates, and bytes per second to and from the disk.
SFT_START, RL_START, EVALUATION_START = 60, 180, 120
STORAGE = 1e9


@dataclass(frozen=True)
class Gpu:
    """Published specifications: memory, nominal (GB) and as reported by CUDA (bytes); dense bfloat16 operations and
    bytes per second.
    """

    name: str
    size: int
    memory: float
    flops: float
    bandwidth: float


GPUS = (  # NVIDIA's data sheets: no sparsity, float32 accumulation; SXM variants of A100, H100 and H200
    Gpu("RTX-4090", 24, 23.6 * GIB, 165e12, 1.008e12),
    Gpu("A100-40GB", 40, 39.4 * GIB, 312e12, 1.555e12),
    Gpu("L40S", 48, 44.4 * GIB, 362e12, 0.864e12),
    Gpu("A100-80GB", 80, 79.2 * GIB, 312e12, 2.04e12),
    Gpu("H100-80GB", 80, 79.1 * GIB, 989e12, 3.35e12),
    Gpu("H200", 141, 139.8 * GIB, 989e12, 4.8e12),
)


@dataclass(frozen=True)
class Item:
    """One line of the plan: an amount, and how it is computed."""

    name: str
    amount: float
    how: str


def disk(s: Settings) -> list[Item]:
    """Peak disk use of one run's checkpoints, in bytes; each training stage keeps its two newest."""
    parameters = s.model.parameters
    items = []
    if not s.recipe.model.path.startswith(BUILTIN):
        items.append(Item("base model", 2 * parameters, "the hub's cache: 2 P"))
    if s.recipe.has_sft:
        size = SFT_CHECKPOINTS * (4 * s.parameters("sft") + 8 * s.trained("sft"))
        items.append(Item("SFT checkpoints", size, f"{SFT_CHECKPOINTS} x (4 P + 8 p)"))
        items.append(Item("SFT export", 4 * parameters, "4 P: float32"))
    if s.recipe.has_rl:
        size = RL_CHECKPOINTS * (4 * s.parameters("rl") + 8 * s.trained("rl"))
        items.append(Item("RL checkpoints", size, f"{RL_CHECKPOINTS} x (4 P + 8 p)"))
        items.append(Item("RL export", 4 * parameters, "4 P: float32"))
    return items


def main_memory(s: Settings) -> list[Item]:
    """Peak main memory of one machine, in bytes.

    verl loads a model with tied embeddings completely on every rank, any other model on one (transformer_impl.py:267),
    in float32, and keeps the reference policy's shards in main memory.
    """
    parameters, gpus, nodes = s.model.parameters, s.recipe.hardware.gpus, s.recipe.hardware.nodes
    copies = gpus if s.model.tied else 1
    how = f"{copies} x 4 P while loading" + (", one for each rank: tied embeddings" if s.model.tied else "")
    items = [Item("models", copies * 4 * parameters, how), Item("processes", 2 * GIB * gpus, "2 GiB each: assumed")]
    if s.recipe.has_rl and s.recipe.rl.kl_coef > 0 and s.trains_all("rl"):
        items.append(Item("reference policy", 4 * parameters / nodes, "its float32 shards: 4 P"))
    if s.recipe.has_rl and not s.trains_all("rl"):  # verl/workers/rollout/vllm_rollout/vllm_async_server.py:1303
        size = s.element * parameters * gpus / s.tensor_parallel
        items.append(Item("rollout engines, asleep", size, "their weights, which no training replaces: e P each"))
    if s.recipe.has_rl and (size := offloaded(s)):
        items.append(Item("policy, offloaded", size / nodes, "its states, as far as they are"))
    return items


def tokens(s: Settings) -> list[Item]:
    """Tokens of each part of a run, at the assumed mean lengths."""
    sft, items = s.recipe.sft, []
    if s.recipe.has_sft:
        length = _mean_length(s, "sft")
        items.append(
            Item("SFT", sft.steps * sft.batch_size * length, f"{sft.steps} x {sft.batch_size} x {length:,.0f}")
        )
    for name, (times, prompts, responses, limit) in _generated(s).items():
        how = f"{times} x {prompts:,} prompts x {responses} x {MEAN_SHARE * limit:,.0f}"
        items.append(Item(name, times * prompts * responses * MEAN_SHARE * limit, how))
    return items


def hours(s: Settings, gpu: Gpu) -> list[Item]:
    """Hours of each part of a run on the recipe's number of GPUs of one kind."""
    sft, items = s.recipe.sft, []
    if s.recipe.has_sft:
        forward, passes = _forward_seconds(s, gpu, "sft", sft.steps * sft.batch_size) / 3600, _passes(s, "sft")
        items.append(Item("SFT", passes * forward, f"{passes} forward passes"))
        if probe := s.recipe.init.probing:
            probing = _probe_passes(s, gpu) / probe.every
            items.append(Item("SFT, probe", probing * forward, f"{probing:.1f} forward passes"))
        if reference := reference_seconds(s, gpu):
            items.append(Item("SFT, reference", reference / 3600, "one pass over all data"))
    for name, (times, *_) in _generated(s).items():
        items.append(Item(name, times * _generation_seconds(s, gpu, name) / 3600, f"{times} times"))
    if s.recipe.has_rl:
        update = s.recipe.rl.steps * _update_seconds(s, gpu) / 3600
        items.append(Item("RL, update", update, f"{_update_passes(s)} forward passes"))
    return [*items, *_overhead(s)]


def _overhead(s: Settings) -> list[Item]:
    """Hours for start-up, loading and checkpoints, as assumed above."""
    recipe, size = s.recipe, s.model.parameters
    evaluations = _evaluations(s)
    seconds = evaluations * EVALUATION_START + recipe.has_sft * SFT_START + recipe.has_rl * RL_START
    # Each stage reads the base model (2 P) or an export (4 P), the reference policy one more; exports are also written.
    read = 4 * size * (evaluations + 2 * recipe.has_sft + (2 + (recipe.rl.kl_coef > 0)) * recipe.has_rl)
    starts = f"{evaluations + recipe.has_sft + recipe.has_rl} starts: assumed"
    saved = 0.0
    for section, trains in {"sft": recipe.has_sft, "rl": recipe.has_rl}.items():
        times = math.ceil(getattr(recipe, section).steps / getattr(recipe, section).save_every)
        saved += trains * times * (4 * s.parameters(section) + 8 * s.trained(section))
    return [
        Item("start-up and loading", (seconds + read / STORAGE) / 3600, starts),
        Item("checkpoints", saved / STORAGE / 3600, f"{STORAGE / 1e9:.0f} GB a second: assumed"),
    ]


def step_seconds(s: Settings, gpu: Gpu, stage: str) -> float:
    """Seconds of a step of `stage`, "sft" (with a probe) or "rl"; infinite if the weights leave vLLM no cache."""
    if stage == "rl":
        return _generation_seconds(s, gpu, ROLLOUT) + _update_seconds(s, gpu)
    return (_passes(s, "sft") + _probe_passes(s, gpu)) * _forward_seconds(s, gpu, "sft", s.recipe.sft.batch_size)


def reference_seconds(s: Settings, gpu: Gpu) -> float:
    """Seconds of the initial model's pass over all training data before the first step; 0 if not needed."""
    return _forward_seconds(s, gpu, "sft", s.recipe.data.num_sft) if "reference" in s.recipe.init.needs else 0.0


def _passes(s: Settings, section: str) -> int:
    """Cost of a training pass in forward passes: forward, gradients of activations, gradients of trained weights.

    Gradient checkpointing runs the forward pass twice. With adapters the gradients of the weights are not computed.
    Some objectives take a forward pass before it.
    """
    ahead = len(LOOK_AHEAD & set(s.recipe.init.needs)) if section == "sft" else 0
    return 2 + s.trains_all(section) + s.checkpoints_activations(section) + ahead


def _probe_passes(s: Settings, gpu: Gpu) -> float:
    """Cost of a probe per token of a training step, in forward passes.

    A forward-mode pass costs three if all weights carry tangents and two if only adapters do, or the measured value.
    """
    probe = s.recipe.init.probing
    if probe is None:
        return 0.0
    fresh = probe.batch_size / s.recipe.sft.batch_size if probe.gradient == "fresh" else 0.0
    fresh *= min(1.0, (probe.cutoff_tokens or math.inf) / _mean_length(s, "sft"))
    found = measured(gpu.name)
    derivatives = found.derivatives if found else {"jvp": 2, "central": 2, "forward": 1}
    tangents = probe.derivative == "jvp" and s.trains_all("sft")
    return _passes(s, "sft") * fresh + derivatives[probe.derivative] + tangents


def _update_passes(s: Settings) -> int:
    """Forward passes of an RL update: log-probabilities of policy and reference, then the training pass."""
    return 1 + (s.recipe.rl.kl_coef > 0) + _passes(s, "rl")


def _update_seconds(s: Settings, gpu: Gpu) -> float:
    """Seconds of one RL step's update."""
    rl = s.recipe.rl
    return _update_passes(s) * _forward_seconds(s, gpu, "rl", rl.prompts_per_step * rl.samples_per_prompt)


def _forward_seconds(s: Settings, gpu: Gpu, section: str, sequences: float) -> float:
    """Seconds of a forward pass over the given number of training sequences."""
    length = _mean_length(s, section)
    flops = sequences * length * s.model.forward_flops(length)
    found = measured(gpu.name)
    return flops / (s.ranks(section) * (found.operations if found else gpu.flops * TRAINING_UTILISATION))


def _mean_length(s: Settings, section: str) -> float:
    """Mean tokens of a training sequence; for SFT, `data.cutoff_tokens` includes the prompt."""
    if section == "sft":
        return MEAN_SHARE * s.recipe.data.cutoff_tokens
    return _prompt(s) + MEAN_SHARE * s.recipe.rl.max_response_tokens


def _prompt(s: Settings) -> float:
    return min(MEAN_PROMPT, s.recipe.data.max_prompt_tokens)


def _generated(s: Settings) -> dict[str, tuple[int, int, int, int]]:
    """By generating stage: how often it runs, number of prompts, responses per prompt, and token limit per response."""
    recipe, rl, settings = s.recipe, s.recipe.rl, s.recipe.evaluation
    found = {}
    if recipe.has_rl:
        found[ROLLOUT] = rl.steps, rl.prompts_per_step, rl.samples_per_prompt, rl.max_response_tokens
    sizes = [BENCHMARKS[name].size if name in BENCHMARKS else recipe.data.num_test for name in settings.datasets]
    prompts = sum(min(size, settings.max_prompts or size) for size in sizes)
    return found | {
        "evaluation": (_evaluations(s), prompts, settings.num_samples + settings.greedy, settings.max_tokens)
    }


def _evaluations(s: Settings) -> int:
    """Number of evaluations: base model, and after each training stage."""
    return 1 + s.recipe.has_sft + s.recipe.has_rl


def _generation_seconds(s: Settings, gpu: Gpu, name: str) -> float:
    """Seconds to run the generating stage `name` once; infinite if the weights leave no room for vLLM's cache.

    Each engine decodes as many sequences at a time as its cache holds, at most 256. A step is bound by reading all
    weights and cached keys and values once, or by operations; there are as many steps as the batches need, at least
    one per token of the longest response.
    """
    _, prompts, responses, limit = _generated(s)[name]
    gpus, engine, share = s.ranks("sft"), s.recipe.hardware.tensor_parallel, EVALUATION_SHARE
    if name == ROLLOUT:
        gpus, engine, share = s.ranks("rl"), s.tensor_parallel, s.rollout_share
    m, length = s.model, _prompt(s) + MEAN_SHARE * limit
    per_engine = prompts * responses * engine / gpus
    fitting = cache_tokens(s, share * gpu.memory, engine) / length
    if fitting == 0:
        return math.inf
    together = max(1.0, min(per_engine, SEQUENCES, fitting))
    read = s.element * m.parameters + together * length * m.kv_bytes(s.element)
    computed = together * m.forward_flops(length)
    step = max(read / (gpu.bandwidth * READING_UTILISATION), computed / (gpu.flops * TRAINING_UTILISATION))
    return step / engine * max(per_engine * MEAN_SHARE * limit / together, limit)
