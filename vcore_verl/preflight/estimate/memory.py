"""Peak memory of one GPU in each phase, part by part. Imports no torch.

verl's FSDP2 engine keeps float32 shards of all parameters, and for trained ones float32 shards of gradients and of
AdamW's two moments (verl/workers/engine/fsdp/transformer_impl.py:430); `moments` computes the rest.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from vcore_verl.preflight.estimate.moments import Moment, of_halved_probe, of_old_policy, of_probe, of_training
from vcore_verl.preflight.estimate.settings import RL, Settings
from vcore_verl.rl.limits import gathers_sequences

GIB = 2**30
# CUDA context, NCCL buffers and allocator fragmentation; in RL also the second context, vLLM's, with its CUDA graphs.
# Typical of 80 GB GPUs, not computed.
OVERHEAD, VLLM_ASLEEP = 3 * GIB, 2 * GIB
EVALUATION_SHARE = 0.92  # vllm/config/cache.py:68
BATCHED_TOKENS = 8192  # per vLLM step, verl/trainer/config/rollout/rollout.yaml
SEQUENCES = 256  # at a time, same file
EVALUATION = "evaluation"
FSDP = f"{RL}.actor.fsdp_config"


@dataclass(frozen=True)
class Phase:
    """The memory of one GPU, in bytes by part; `helps` maps a part to the keys that lower it.

    `problem` says why vLLM's share is too small; empty if it suffices.
    """

    name: str
    parts: dict[str, float]
    helps: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def total(self) -> float:
        return sum(self.parts.values())

    def shortage(self, memory: float) -> str | None:
        """Why the phase does not fit in `memory` bytes, and what helps; None if it fits."""
        if self.problem:
            return f"{self.name}: {self.problem}"
        if self.total <= memory:
            return None
        largest = max(self.helps, key=self.parts.__getitem__)
        return (
            f"{self.name} needs {self.total / GIB:.1f} of {memory / GIB:.1f} GiB; {largest} take "
            f"{self.parts[largest] / GIB:.1f}: {self.helps[largest]}"
        )


def phases(s: Settings, memory: float) -> Iterator[Phase]:
    """The phases of all stages of the recipe on GPUs with `memory` bytes; on a CPU, only those of training."""
    if s.recipe.has_sft:
        held = of_halved_probe(s) + of_old_policy(s)
        yield _phase("SFT, training pass", s, "sft", [(held + fixed, each) for fixed, each in of_training(s, "sft")])
    if s.recipe.has_sft and (probe := s.recipe.init.probing):
        faster = ", or init.probe.derivative=forward" if probe.derivative == "jvp" else ""
        yield _phase(f"SFT, probe ({probe.derivative})", s, "sft", of_probe(s, probe), faster)
    if s.recipe.has_rl and not s.on_cpu:
        yield _generation(s, memory)
    if s.recipe.has_rl:
        yield _phase("RL, update", s, "rl", of_training(s, "rl"))
    if not s.on_cpu:
        yield _evaluation(s, memory)


def shortages(s: Settings, memory: float) -> list[str]:
    """Why phases of the recipe do not fit on GPUs with `memory` bytes, and what helps; empty if all fit."""
    short = {phase.name: reason for phase in phases(s, memory) if (reason := phase.shortage(memory))}
    if f"{FSDP}.offload_policy" in short.get("RL, update", ""):
        # offload_policy also leaves room for generation.
        short = {name: reason for name, reason in short.items() if f"{FSDP}.optimizer_offload" not in reason}
    return list(short.values())


def tightest(s: Settings, memory: float) -> Phase:
    """The phase that leaves the least of `memory` bytes free; not evaluation, where vLLM takes a fixed share."""
    return max((phase for phase in phases(s, memory) if phase.name != EVALUATION), key=lambda phase: phase.total)


def _phase(name: str, s: Settings, section: str, moments: Iterable[Moment], helps: str = "") -> Phase:
    """A training phase at the largest of its moments."""
    weights, activations = max(((fixed, each * s.tokens(section)) for fixed, each in moments), key=sum)
    states = (4 * s.parameters(section) + 12 * s.trained(section)) / s.ranks(section)
    more_gpus = "add GPUs (gpus=, nodes=)"
    if section == "rl":
        states = 0 if s.offloads("offload_policy") else states
        more_gpus += f", or rl.verl.{FSDP}.offload_policy=true"
    parts = {"states": states, "weights": weights, "activations": activations, "context": _context(s, section)}
    return Phase(name, parts, {"states": more_gpus, "activations": _fewer_tokens(s, section) + helps})


def _context(s: Settings, section: str) -> float:
    """Overhead: on a CPU Python and its libraries; on a GPU contexts, in RL also vLLM's, asleep."""
    return GIB if s.on_cpu else OVERHEAD if section == "sft" else OVERHEAD + VLLM_ASLEEP


def offloaded(s: Settings) -> float:
    """Bytes of the policy's states that are offloaded to main memory: weights, AdamW's moments, or also gradients."""
    weights, moments = 4 * s.parameters("rl"), 8 * s.trained("rl")
    if s.offloads("offload_policy"):
        return weights + moments + 4 * s.trained("rl")
    return weights * s.offloads("param_offload") + moments * s.offloads("optimizer_offload")


def _fewer_tokens(s: Settings, section: str) -> str:
    """Advice on keys that shorten micro-batches, which must hold the longest sequence."""
    longest, limits = s.longest(section), "data.cutoff_tokens" if section == "sft" else "rl.max_response_tokens"
    if getattr(s.recipe, section).max_tokens_per_rank > longest:
        return f"lower {section}.max_tokens_per_rank to {longest}"
    if section == "rl" and gathers_sequences(s.rl):
        limits += f", or to {longest // 2} with rl.verl.{RL}.actor.ulysses_sequence_parallel_size=2"
    return f"lower {section}.max_tokens_per_rank with {limits}"


def _generation(s: Settings, memory: float) -> Phase:
    """vLLM takes its share of the total memory next to the policy's states (it refuses to start if less is free)."""
    share, engine, key = s.rollout_share, s.tensor_parallel, f"rl.verl.{RL}.rollout"
    parts = {
        "states": max(0, 4 * s.parameters("rl") + 8 * s.trained("rl") - offloaded(s)) / s.ranks("rl"),  # no gradients
        "weights": min(s.bucket, 4 * s.trained("rl")),
        "vLLM": share * memory,
        "context": OVERHEAD,
    }
    helps = {"states": f"rl.verl.{FSDP}.optimizer_offload=true rl.verl.{FSDP}.param_offload=true"}
    larger = f"raise {key}.gpu_memory_utilization={share} or {key}.tensor_model_parallel_size={engine}"
    return Phase("RL, generation", parts, helps, _problem(s, share * memory, engine, s.longest("rl"), larger))


def _evaluation(s: Settings, memory: float) -> Phase:
    share, engine = EVALUATION_SHARE * memory, s.recipe.hardware.tensor_parallel
    length = s.recipe.data.max_prompt_tokens + s.recipe.evaluation.max_tokens
    larger = "lower evaluation.max_tokens or raise hardware.tensor_parallel"
    return Phase(EVALUATION, {"vLLM": share}, problem=_problem(s, share, engine, length, larger))


def _problem(s: Settings, share: float, gpus: int, length: int, helps: str) -> str:
    """Message if `share` bytes on each of vLLM's `gpus` have no room for a sequence of `length` tokens, else empty."""
    cached = cache_tokens(s, share, gpus)
    if cached >= length:
        return ""
    return (
        f"vLLM's share of {share / GIB:.0f} GiB leaves room for keys and values of {cached:,.0f} tokens beside "
        f"{s.element * s.model.parameters / gpus / GIB:.0f} GiB of weights, a sequence has {length:,}: {helps}"
    )


def cache_tokens(s: Settings, share: float, gpus: int) -> float:
    """Tokens whose keys and values fit in a vLLM engine's cache, with `share` bytes on each of its `gpus`.

    The rest of the memory holds the weights and a step's working set: activations of one layer, and logits.
    """
    m, e = s.model, s.element
    working = BATCHED_TOKENS * (3 * m.intermediate / gpus + 4 * m.hidden) * e + 2 * 4 * SEQUENCES * m.vocab
    return max(share - e * m.parameters / gpus - working, 0.0) * gpus / m.kv_bytes(e)
