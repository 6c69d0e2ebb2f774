"""Checks for settings that the objectives do not support, before anything starts. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from vcore_verl.attention import NAME
from vcore_verl.config.overrides import lookup
from vcore_verl.config.recipe import Recipe, RecipeError

ATTENTION = "model.override_config.attn_implementation"
WITH_FORWARD_MODE = (NAME, "eager")
LOOK_AHEAD = {"entropy", "batch", "old"}  # what objectives need that takes a forward pass before each step
READ_LOGITS = {"utility", *LOOK_AHEAD}
# A pass without backward computes logits in blocks of tokens that take up this much memory.
LOGITS_BYTES = 4 * 2**30
# Per logit: half precision, float32 and log-probability, each with its tangent.
LOGIT_BYTES = 28


def check(recipe: Recipe, verl: Mapping[str, Any]) -> None:
    """Raise a one-line `RecipeError` for the first setting that is wrong or would be silently ignored.

    `verl` holds the keys of verl's SFT configuration that are set, nested; added keys may have Hydra's "+".
    """
    ranks = recipe.hardware.gpus * recipe.hardware.nodes
    for message, applies in (_wrong_for_all(recipe, verl, ranks) | _wrong_for_probes(recipe, verl, ranks)).items():
        if applies:
            raise RecipeError(message)


def _wrong_for_all(recipe: Recipe, verl: Mapping[str, Any], ranks: int) -> dict[str, bool]:
    batch_size, tokens, longest = recipe.sft.batch_size, recipe.sft.max_tokens_per_rank, recipe.data.cutoff_tokens
    sequence_parallel = lookup(verl, "engine.ulysses_sequence_parallel_size") or 1
    pad_mode = lookup(verl, "data.pad_mode") or "no_padding"
    return {
        f"sft.batch_size={batch_size} must be a multiple of the {ranks} ranks": batch_size % ranks != 0,
        f"sft.verl.engine.ulysses_sequence_parallel_size={sequence_parallel} is not supported: "
        "a sequence's weights need all of its tokens on one rank; set it to 1": sequence_parallel != 1,
        "sft.verl.engine.strategy must be fsdp2: FSDP1 flattens the parameters that a probe moves": (
            lookup(verl, "engine.strategy") != "fsdp2"
        ),
        "sft.verl.model.use_remove_padding=false is not supported: a probe's passes take packed rows; leave it out": (
            lookup(verl, "model.use_remove_padding") is False
        ),
        f"sft.verl.model.use_fused_kernels hides the logits that init={recipe.init.name} reads: leave it out": (
            bool(READ_LOGITS & set(recipe.init.needs)) and bool(lookup(verl, "model.use_fused_kernels"))
        ),
        f"sft.verl.data.pad_mode={pad_mode} is not supported by verl's engine; leave it out": pad_mode != "no_padding",
        f"sft.max_tokens_per_rank={tokens} cannot hold one example of data.cutoff_tokens={longest} tokens": (
            tokens < longest
        ),
    }


def _wrong_for_probes(recipe: Recipe, verl: Mapping[str, Any], ranks: int) -> dict[str, bool]:
    probe = recipe.init.probing
    if probe is None:
        return {}
    precision, attention = lookup(verl, "engine.mixed_precision.param_dtype"), lookup(verl, ATTENTION)
    return {
        f"init.probe.batch_size={probe.batch_size} must be a multiple of the {ranks} ranks": (
            probe.gradient == "fresh" and probe.batch_size % ranks != 0
        ),
        f"init={recipe.init.name} probes with clean tokens: set init.probe.gradient=fresh": (
            "clean_probe" in recipe.init.needs and probe.gradient != "fresh"
        ),
        f"init={recipe.init.name} compares the halves of a probe batch: set init.probe.gradient=fresh, and "
        f"init.probe.batch_size to a multiple of {2 * ranks}": "half_cosine" in recipe.init.needs
        and (probe.gradient != "fresh" or probe.batch_size % (2 * ranks) != 0),
        "sft.verl.model.use_liger has no forward-mode derivative: leave it out, or set init.probe.derivative=central": (
            probe.derivative == "jvp" and bool(lookup(verl, "model.use_liger"))
        ),
        f"sft.verl.{ATTENTION}={attention} has no forward-mode derivative: "
        "leave it out, or set init.probe.derivative=central": (
            probe.derivative == "jvp" and attention not in WITH_FORWARD_MODE
        ),
        "float16 scales gradients, and a probe would measure the scale: use model.dtype=bfloat16": (
            precision in ("fp16", "float16")
        ),
    }
