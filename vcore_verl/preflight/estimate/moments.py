"""Memory of a training process beyond its states, at the points of a step where it peaks. Imports no torch.

Derived by counting the allocations of verl's FSDP2 engine and of this project's passes on fake tensors, with attention
as on CUDA (tests/preflight/estimate/count.py): Qwen3 of 1.7, 4 and 8 B parameters on 1 and 8 ranks. The largest moment
agrees within 2 % there. Not confirmed on a GPU.

A moment is (fixed bytes, bytes per token of a micro-batch). e: bytes per number.
"""

from vcore_verl.config.init_schema import Probe
from vcore_verl.preflight.estimate.settings import Settings
from vcore_verl.sft.limits import LOGIT_BYTES, LOGITS_BYTES

Moment = tuple[float, float]
FUSED_ROWS = 512  # tokens per chunk of logits in verl's fused kernels (utils/experimental/torch_functional.py:243)
GATHERED_TANGENTS = 2**29  # bytes up to which a probe's tangents are unsharded (vcore_verl/sft/probe/forward_mode.py)


def of_training(s: Settings, section: str) -> list[Moment]:
    """Moments of a micro-batch and the optimizer step of "sft" or "rl"."""
    m, e, whole = s.model, s.element, int(s.trains_all(section))
    head, layer = m.embedding, m.layer_parameters
    dropout = section == "sft" and not whole and s.recipe.model.lora.dropout > 0  # adapters in RL have none
    saved, again = m.layers * m.saved_bytes(e, dropout), 0
    if s.checkpoints_activations(section):
        saved, again = m.layers * m.hidden * e, m.saved_bytes(e, dropout)
    if not dropout:  # with dropout, the MLP's saved tensors are freed as its gradients are computed
        again += 2 * m.intermediate * e
    fused, each_fused = _fused(s) if section == "rl" and s.fuses_log_probs else (0, e * m.vocab)
    return [
        # Gradients of the logits are computed, before the output matrix is gathered again.
        (0, saved + (4 + 2 * e) * m.hidden + _copies(s, section) * e * m.vocab),
        # The backward pass begins: one gradient is left; the output matrix is held twice, flat and copied out.
        (e * (2 * head + whole * layer) + fused, saved + (4 + whole * 3 * e) * m.hidden + each_fused),
        # A layer is recomputed, and the next one gathered.
        (e * (head + 2 * layer) + whole * (e * head + 4.5 * layer), saved + again),
        # AdamW's temporaries for the output matrix.
        (whole * 8 * head / s.ranks(section), 0),
    ]


def _copies(s: Settings, section: str) -> int:
    """Copies of a micro-batch's logits, including their gradients."""
    if section == "sft":  # the gradient overwrites them (vcore_verl/cpu/log_probs.py)
        return 1
    if s.fuses_log_probs:
        return 0
    entropy = bool(s.recipe.rl.entropy_coef)
    # If the entropy is computed, verl does not overwrite the logits with their gradient (transformer_impl.py:1428).
    return 1 + (entropy or s.logs_entropy) + entropy + (s.recipe.rl.temperature != 1)


def _fused(s: Settings) -> Moment:
    """Memory of verl's fused kernels in place of logits: a chunk of rows in float32, with probabilities, gradient and
    the entropy's. The peak is before or while the chunk's gradient of the output matrix, computed even with adapters,
    is added to that of earlier chunks.
    """
    m, e, whole = s.model, s.element, int(s.trains_all("rl"))
    rows, matrix = FUSED_ROWS * m.vocab, e * m.embedding
    most = max(rows * (12 + e) + matrix, rows * (18 + e))
    return most + rows * 4 * bool(s.recipe.rl.entropy_coef) + whole * matrix, m.hidden * e


def of_probe(s: Settings, probe: Probe) -> list[Moment]:
    """Moments of the pass along the probe's direction, which saves nothing for a backward pass."""
    m, e, whole = s.model, s.element, int(s.trains_all("sft"))
    head, layer, share = m.embedding, m.layer_parameters, 4 * s.trained("sft") / s.ranks("sft")
    rows = min(s.tokens("sft"), LOGITS_BYTES // (LOGIT_BYTES * m.vocab))
    if probe.derivative != "jvp":  # the original shards of perturbed parameters are kept
        logits = (0, e * m.vocab) if probe.derivative == "forward" else (10 * rows * m.vocab, 0)
        return [
            (share + e * (head + 2 * layer), 4 * e * (m.intermediate + m.hidden)),
            (share + e * (head + layer) + logits[0], 2 * e * m.hidden + logits[1]),
        ]
    # Every number carries a tangent; tangents of weights take e bytes and, if few, also an unsharded float32 copy.
    tangents = 4 * s.trained("sft") if 4 * s.trained("sft") <= GATHERED_TANGENTS else 0
    fixed = tangents + e * (1 + whole) * head
    return [
        # Attention's jvp is two forward passes and a backward pass of twice the width.
        (fixed + e * (2 + whole) * layer, e * (20 * m.queries + 12 * m.keys + 6 * m.hidden)),
        (fixed + e * (2 + whole) * layer, e * ((9 - whole) * m.intermediate + 7 * m.hidden)),
        (fixed + e * (1 + whole) * layer + 24 * rows * m.vocab, 2 * e * m.hidden),
    ]


def of_halved_probe(s: Settings) -> float:
    """Bytes of the gradient of a probe's first half batch, held during the pass over the second half."""
    probe = s.recipe.init.probing
    return 4 * s.trained("sft") / s.ranks("sft") if probe and probe.gradient == "fresh" else 0.0


def of_old_policy(s: Settings) -> float:
    """Bytes of the copy of the trained parameters that some objectives keep."""
    return 4 * s.trained("sft") / s.ranks("sft") if "old" in s.recipe.init.needs else 0.0
