"""Memory of one GPU, part by part, in the phases that need most. Imports no torch.

Notation of the formulas: P parameters, R ranks, T tokens of a micro-batch, V vocabulary, H hidden size, L layers, e
bytes of a number in computation. verl's FSDP2 engine keeps float32 shards of all parameters, and for those it trains
float32 shards of gradients and of AdamW's two moments (verl/workers/engine/fsdp/transformer_impl.py:430).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from vcore_verl.config.recipe import Probe
from vcore_verl.preflight.estimate.settings import RL, Settings
from vcore_verl.rl.limits import gathers_sequences
from vcore_verl.sft.limits import LOGIT_BYTES, LOGITS_BYTES

GIB = 2**30
GENERATION = "RL, generation"
# CUDA's context, NCCL's buffers and what the allocator cannot use; an RL run holds a second context, vLLM's, with its
# CUDA graphs. Typical of 80 GB GPUs, not computed.
OVERHEAD, VLLM_ASLEEP = 3 * GIB, 2 * GIB
EVALUATION_SHARE = 0.92  # vllm/config/cache.py:68
ROLLOUT_SHARE = 0.5  # verl/trainer/config/rollout/rollout.yaml
BATCHED_TOKENS = 8192  # of a vLLM step, same file
SEQUENCES = 256  # at a time, same file
BUCKET = 2 * GIB  # of weights on their way to vLLM, same file
MORE_GPUS = "add GPUs (gpus=, nodes=)"
# Numbers that a layer computes for each token and keeps, attention's scores among them, in units of the hidden size. An
# allowance at the upper end for Qwen3 and Llama, which no GPU has confirmed.
SAVED = 64


@dataclass(frozen=True)
class Part:
    """Bytes on one GPU, where they come from, and the keys that lower them."""

    name: str
    size: float
    how: str
    helps: str = ""


@dataclass(frozen=True)
class Phase:
    """What lies on a GPU at one moment. `problem` says what does not work out inside vLLM's share."""

    name: str
    parts: tuple[Part, ...]
    problem: str = ""

    @property
    def total(self) -> float:
        return sum(part.size for part in self.parts)

    def shortage(self, memory: float) -> str | None:
        """Why it does not fit into `memory` bytes, and what helps; None where it does."""
        if self.problem:
            return f"{self.name}: {self.problem}"
        if self.total <= memory:
            return None
        largest = max((part for part in self.parts if part.helps), key=lambda part: part.size)
        return (
            f"{self.name} needs {self.total / GIB:.0f} of {memory / GIB:.0f} GiB; {largest.name} "
            f"{'take' if largest.name.endswith('s') else 'takes'} {largest.size / GIB:.0f}: {largest.helps}"
        )


def phases(settings: Settings, memory: float) -> list[Phase]:
    """The phases of all stages of the recipe, on GPUs of `memory` bytes. On a CPU, of the training processes alone."""
    if settings.on_cpu:
        return [phase for phase in (*_sft(settings), *_rl(settings, memory)) if phase.name != GENERATION]
    return [*_sft(settings), *_rl(settings, memory), _evaluation(settings, memory)]


def _sft(s: Settings) -> Iterator[Phase]:
    recipe, probe = s.recipe, s.recipe.init.probing
    if not recipe.has_sft:
        return
    training = _training_pass(s, recipe.sft.max_tokens_per_rank, s.trainable_in_sft, "sft")
    yield Phase("SFT, training pass", (*_sft_states(s), *training, _logits(s)))
    if probe is not None:
        yield Phase(f"SFT, probe ({probe.derivative})", (*_sft_states(s), *_probe(s, probe)))


def _sft_states(s: Settings) -> list[Part]:
    trained, ranks = s.trainable_in_sft, s.ranks
    lora = ", frozen ones too" if trained < s.in_sft else ""
    return [
        Part("weights", 4 * s.in_sft / ranks, f"float32 shards: 4 P / R{lora}", MORE_GPUS),
        Part("optimizer", 8 * trained / ranks, "AdamW's moments, float32: 8 P / R of the trained", MORE_GPUS),
        _context(s, asleep=False),
    ]


def _context(s: Settings, asleep: bool) -> Part:
    if s.on_cpu:
        return Part("context", GIB, "Python and its libraries: assumed")
    if asleep:
        return Part("context", OVERHEAD + VLLM_ASLEEP, "CUDA, NCCL, fragments, vLLM asleep: assumed")
    return Part("context", OVERHEAD, "CUDA, NCCL, fragments: assumed")


def _gathered(s: Settings) -> Part:
    """FSDP2 keeps the root's parameters through a pass, and gathers layers one ahead (verl/utils/fsdp_utils.py:549)."""
    size = s.element * (s.model.embedding + 2 * s.model.layer_parameters)
    return Part("gathered weights", size, "output matrix and two layers: e (V H + 2 P / L)")


def _training_pass(s: Settings, tokens: int, trained: int, section: str) -> Iterator[Part]:
    """Gradients and activations of a forward and backward pass."""
    m, e, full = s.model, s.element, trained == s.model.parameters
    ranks = s.ranks if section == "sft" else s.rl_ranks
    yield _gathered(s)
    offloaded = section == "rl" and _offloads(s, "offload_policy")
    gradients = 0 if offloaded else 4 * trained / ranks
    yield Part("gradients", gradients, "float32 shards: 4 P / R of the trained", MORE_GPUS)
    if full:
        yield Part("gradient reduction", (e + 4) * m.embedding, "the output matrix's, whole: (e + 4) V H")
    yield _activations(s, tokens, section)


def _activations(s: Settings, tokens: int, section: str) -> Part:
    """With gradient checkpointing one layer's, and the input of every layer; without it those of all layers."""
    checkpointed = s.checkpoints_activations(section)
    vectors = s.model.layers + SAVED if checkpointed else s.model.layers * SAVED
    how = f"(L + {SAVED}) H e T: assumed" if checkpointed else f"{SAVED} L H e T: assumed"
    return Part("activations", vectors * s.model.hidden * s.element * tokens, how, _fewer_tokens(s, section))


def _logits(s: Settings) -> Part:
    tokens = s.recipe.sft.max_tokens_per_rank
    if s.on_cpu:  # no fused cross-entropy: a padded and a packed copy, and their gradients
        return Part("logits", 5 * s.element * tokens * s.model.vocab, "5 e T V", _fewer_tokens(s, "sft"))
    return Part("logits", s.element * tokens * s.model.vocab, "e T V; gradient in place", _fewer_tokens(s, "sft"))


def _probe(s: Settings, probe: Probe) -> Iterator[Part]:
    """The pass along the probe's direction, which keeps nothing for a backward pass.

    Forward mode carries a tangent beside every number. Log-probabilities are computed in float32 from the logits.
    """
    tokens, e, m = s.recipe.sft.max_tokens_per_rank, s.element, s.model
    jvp = probe.derivative == "jvp"
    copy = 4 if e < 4 else 0  # of the logits, in float32
    per_logit = 4 * e + 2 * copy + 12 if jvp else e + copy + 4
    helps = _fewer_tokens(s, "sft") + (", or init.probe.derivative=forward" if jvp else "")
    yield _gathered(s)
    direction = 12 * s.trainable_in_sft / s.ranks
    yield Part("probe direction", direction, "gradient and copies: 3 x 4 P / R of the trained", MORE_GPUS)
    working = (2 if jvp else 1) * SAVED * m.hidden * e * tokens
    yield Part("activations", working, f"of one layer{', twice' if jvp else ''}: {SAVED} H e T: assumed", helps)
    if jvp:
        block = min(tokens, LOGITS_BYTES // (LOGIT_BYTES * m.vocab))
        what = f"value and tangent, {block:,} tokens at a time: {per_logit} V each"
        yield Part("logits", per_logit * block * m.vocab, what)
    else:
        yield Part("logits", per_logit * tokens * m.vocab, f"{per_logit} T V", helps)


def _rl(s: Settings, memory: float) -> Iterator[Phase]:
    if not s.recipe.has_rl:
        return
    yield _generation(s, memory)
    tokens = s.recipe.rl.max_tokens_per_rank // s.sequence_parallel
    if s.recipe.rl.kl_coef > 0:
        yield Phase("RL, reference", (*_rl_states(s, training=False), _gathered(s), _rl_logits(s, tokens, 1)))
    copies = 4 if s.recipe.rl.entropy_coef else 2
    yield Phase(
        "RL, update",
        (
            *_rl_states(s, training=True),
            *_training_pass(s, tokens, s.model.parameters, "rl"),
            _rl_logits(s, tokens, copies),
        ),
    )


def _rl_states(s: Settings, training: bool) -> list[Part]:
    parameters, ranks = s.model.parameters, s.rl_ranks
    always, prefix = _offloads(s, "offload_policy"), f"rl.verl.{RL}.actor.fsdp_config"
    weights = 4 * parameters / ranks * (not always and (training or not _offloads(s, "param_offload")))
    optimizer = 8 * parameters / ranks * (not always and (training or not _offloads(s, "optimizer_offload")))
    during, between = f"{prefix}.offload_policy=true", f"{prefix}.optimizer_offload=true {prefix}.param_offload=true"
    helps = f"{MORE_GPUS}, or {during}" if training else between
    return [
        Part("weights", weights, "float32 shards: 4 P / R", helps),
        Part("optimizer", optimizer, "AdamW's moments, float32: 8 P / R", helps),
        _context(s, asleep=True),
    ]


def offloaded_bytes(s: Settings) -> int:
    """Bytes a parameter of the policy's states that at times lie in main memory: weights 4, gradients 4, moments 8."""
    if _offloads(s, "offload_policy"):
        return 16
    return 4 * _offloads(s, "param_offload") + 8 * _offloads(s, "optimizer_offload")


def _offloads(s: Settings, key: str) -> bool:
    return bool(s.in_rl(f"{RL}.actor.fsdp_config.{key}", False))


def _rl_logits(s: Settings, tokens: int, copies: int) -> Part:
    if s.recipe.rl.temperature != 1:
        copies += 1
    how = {1: "e T V", 2: "with gradient: 2 e T V"}.get(copies, f"with gradients, entropy's too: {copies} e T V")
    return Part("logits", copies * s.element * tokens * s.model.vocab, f"{how}, T = {tokens:,}", _fewer_tokens(s, "rl"))


def _fewer_tokens(s: Settings, section: str) -> str:
    """The keys that shorten micro-batches, which hold at least the longest sequence."""
    if section == "sft":
        longest, limits = s.recipe.data.cutoff_tokens, "data.cutoff_tokens"
    else:
        longest = s.recipe.data.max_prompt_tokens + s.recipe.rl.max_response_tokens
        limits = "rl.max_response_tokens"
        if gathers_sequences(s.rl):
            limits += f", or rl.verl.{RL}.actor.ulysses_sequence_parallel_size=2"
    now = getattr(s.recipe, section).max_tokens_per_rank
    if now > longest:
        return f"lower {section}.max_tokens_per_rank to {longest}"
    return f"lower {section}.max_tokens_per_rank with {limits}"


def _generation(s: Settings, memory: float) -> Phase:
    """vLLM takes its share of the whole memory beside the policy's states (vLLM's start refuses where less is free)."""
    share = s.in_rl(f"{RL}.rollout.gpu_memory_utilization", ROLLOUT_SHARE)
    length = s.recipe.data.max_prompt_tokens + s.recipe.rl.max_response_tokens
    key = f"rl.verl.{RL}.rollout"
    larger = f"raise {key}.gpu_memory_utilization={share} or {key}.tensor_model_parallel_size={s.tensor_parallel}"
    parts, problem = _engine(s, share * memory, s.tensor_parallel, length, larger)
    in_transfer = min(BUCKET, 4 * s.model.parameters)
    bucket = Part("weights in transfer", in_transfer, "a bucket of at most 2 GiB")
    states = _rl_states(s, training=False)[:2]
    return Phase(GENERATION, (*states, _context(s, asleep=False), *parts, bucket), problem)


def _evaluation(s: Settings, memory: float) -> Phase:
    length = s.recipe.data.max_prompt_tokens + s.recipe.evaluation.max_tokens
    larger = "lower evaluation.max_tokens or raise hardware.tensor_parallel"
    parts, problem = _engine(s, EVALUATION_SHARE * memory, s.recipe.hardware.tensor_parallel, length, larger)
    return Phase("evaluation", tuple(parts), problem)


def _engine(s: Settings, share: float, gpus: int, length: int, helps: str) -> tuple[list[Part], str]:
    """vLLM's parts of `share` bytes on each of `gpus`; what is wrong where the cache cannot hold `length` tokens."""
    m, e = s.model, s.element
    weights = e * m.parameters / gpus
    working = BATCHED_TOKENS * (3 * m.intermediate / gpus + 4 * m.hidden) * e + 2 * 4 * SEQUENCES * m.vocab
    per_token = m.kv_bytes(e) / gpus
    cache = max(share - weights - working, 0.0)
    fitting = f"the rest of its share: {cache / per_token:,.0f} tokens of {per_token / 1024:.0f} KiB"
    parts = [
        Part("vLLM weights", weights, f"e P{f' / {gpus} GPUs' if gpus > 1 else ''}"),
        Part("vLLM working memory", working, f"{BATCHED_TOKENS} tokens of a layer, logits of {SEQUENCES} sequences"),
        Part("vLLM key-value cache", cache, fitting),
    ]
    if cache >= length * per_token:
        return parts, ""
    return parts, (
        f"vLLM's share of {share / GIB:.0f} GiB leaves {cache / GIB:.1f} GiB for keys and values beside "
        f"{weights / GIB:.0f} of weights, a sequence of {length:,} tokens needs {length * per_token / GIB:.1f}: {helps}"
    )


def cache_tokens(s: Settings, share: float, gpus: int) -> float:
    """Tokens that the key-value cache of a vLLM engine holds, with `share` bytes on each of its `gpus`."""
    cache = _engine(s, share, gpus, 1, "")[0][-1].size
    return cache * gpus / s.model.kv_bytes(s.element)
