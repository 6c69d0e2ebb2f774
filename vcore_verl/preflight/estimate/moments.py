"""What a training process holds beside its states at the moments of a step that need most. Imports no torch.

Found by counting all that verl's FSDP2 engine and our own passes allocate on tensors without content, with attention as
on CUDA (tests/preflight/estimate/count.py): Qwen3 of 1.7, 4 and 8 B parameters on 1 and 8 ranks. The largest moment
agrees within 2 % there. No GPU has confirmed it.

A moment is (bytes whatever the tokens, bytes for each token of a micro-batch). e: bytes of a number.
"""

from vcore_verl.config.schema import Probe
from vcore_verl.preflight.estimate.settings import Settings
from vcore_verl.sft.limits import LOGIT_BYTES, LOGITS_BYTES

Moment = tuple[float, float]
FUSED_ROWS = 512  # tokens whose logits verl's fused kernels hold at a time (utils/experimental/torch_functional.py:243)
GATHERED_TANGENTS = 2**29  # bytes up to which a probe's are whole on every rank (vcore_verl/sft/probe/forward_mode.py)


def of_training(s: Settings, section: str) -> list[Moment]:
    """Of a micro-batch and the optimizer's step of "sft" or "rl"."""
    m, e, whole = s.model, s.element, int(s.trains_all(section))
    head, layer = m.embedding, m.layer_parameters
    dropout = section == "sft" and not whole and s.recipe.model.lora.dropout > 0  # adapters in RL have none
    saved, again = m.layers * m.saved_bytes(e, dropout), 0
    if s.checkpoints_activations(section):
        saved, again = m.layers * m.hidden * e, m.saved_bytes(e, dropout)
    if not dropout:  # with it, what the MLP has saved goes as its gradients come
        again += 2 * m.intermediate * e
    fused, each_fused = _fused(s) if section == "rl" and s.fuses_log_probs else (0, e * m.vocab)
    return [
        # Gradients of logits are made, before the output matrix is gathered again.
        (0, saved + (4 + 2 * e) * m.hidden + _copies(s, section) * e * m.vocab),
        # The backward pass begins: one gradient is left, and the output matrix is there twice, flat and copied out.
        (e * (2 * head + whole * layer) + fused, saved + (4 + whole * 3 * e) * m.hidden + each_fused),
        # A layer is computed again, and the next one gathered.
        (e * (head + 2 * layer) + whole * (e * head + 4.5 * layer), saved + again),
        # AdamW's temporaries of the output matrix.
        (whole * 8 * head / s.ranks(section), 0),
    ]


def _copies(s: Settings, section: str) -> int:
    """Of a micro-batch's logits, their gradients included."""
    if section == "sft":  # the gradient takes their place (vcore_verl/cpu/log_probs.py)
        return 1
    if s.fuses_log_probs:
        return 0
    entropy = bool(s.recipe.rl.entropy_coef)
    # Where the entropy is computed, verl has no gradient take their place (transformer_impl.py:1428).
    return 1 + (entropy or s.logs_entropy) + entropy + (s.recipe.rl.temperature != 1)


def _fused(s: Settings) -> Moment:
    """What verl's fused kernels hold in place of logits: some rows of them in float32, with probabilities, gradient and
    the entropy's. More of these before the rows' part of the output matrix's gradient, which is computed for adapters
    too, is added to that of the rows before.
    """
    m, e, whole = s.model, s.element, int(s.trains_all("rl"))
    rows, matrix = FUSED_ROWS * m.vocab, e * m.embedding
    most = max(rows * (12 + e) + matrix, rows * (18 + e))
    return most + rows * 4 * bool(s.recipe.rl.entropy_coef) + whole * matrix, m.hidden * e


def of_probe(s: Settings, probe: Probe) -> list[Moment]:
    """Of the pass along the probe's direction, which keeps nothing for a backward pass."""
    m, e, whole = s.model, s.element, int(s.trains_all("sft"))
    head, layer, share = m.embedding, m.layer_parameters, 4 * s.trained("sft") / s.ranks("sft")
    rows = min(s.tokens("sft"), LOGITS_BYTES // (LOGIT_BYTES * m.vocab))
    if probe.derivative != "jvp":  # the shards of the parameters that are moved are kept
        logits = (0, e * m.vocab) if probe.derivative == "forward" else (10 * rows * m.vocab, 0)
        return [
            (share + e * (head + 2 * layer), 4 * e * (m.intermediate + m.hidden)),
            (share + e * (head + layer) + logits[0], 2 * e * m.hidden + logits[1]),
        ]
    # Every number carries a tangent, those of weights in e bytes and, where they are few, whole in float32.
    tangents = 4 * s.trained("sft") if 4 * s.trained("sft") <= GATHERED_TANGENTS else 0
    fixed = tangents + e * (1 + whole) * head
    return [
        # Attention's rule is two forward passes and a backward pass of twice the width.
        (fixed + e * (2 + whole) * layer, e * (20 * m.queries + 12 * m.keys + 6 * m.hidden)),
        (fixed + e * (2 + whole) * layer, e * ((9 - whole) * m.intermediate + 7 * m.hidden)),
        (fixed + e * (1 + whole) * layer + 24 * rows * m.vocab, 2 * e * m.hidden),
    ]


def of_halved_probe(s: Settings) -> float:
    """Bytes of a probe's gradient on the first half of its batch, beside the pass over the second."""
    probe = s.recipe.init.probing
    return 4 * s.trained("sft") / s.ranks("sft") if probe and probe.gradient == "fresh" else 0.0
