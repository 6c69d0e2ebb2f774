"""A model's architecture and the quantities it determines: parameters, floating-point operations, bytes per token.

Decoder-only, gated MLP, grouped-query attention, RMSNorm: Qwen3, Llama and Mistral. Imports no torch.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from vcore_verl.config.checks import BUILTIN, BUILTIN_TASKS, SMOLLM2
from vcore_verl.config.errors import InputError
from vcore_verl.config.recipe import Recipe


class UnknownArchitecture(InputError):
    """The architecture of a model cannot be found on this machine; the message is one line that says what to do."""


@dataclass(frozen=True)
class Architecture:
    """Sizes, with shortened names of transformers' configurations; `qk_norm` is Qwen3's norm of queries and keys."""

    vocab: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool
    qk_norm: bool

    @property
    def queries(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all key heads, the same as of all value heads."""
        return self.kv_heads * self.head_dim

    @property
    def layer_linear(self) -> int:
        """Weights of a layer's matrices: q, k, v, o, and gate, up, down."""
        return self.hidden * (2 * self.queries + 2 * self.keys + 3 * self.intermediate)

    @property
    def layer_parameters(self) -> int:
        """Parameters of a layer, including norms."""
        return self.layer_linear + 2 * self.hidden + (2 * self.head_dim if self.qk_norm else 0)

    @property
    def embedding(self) -> int:
        return self.vocab * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters; a tied output matrix counts once."""
        return self.layers * self.layer_parameters + self.hidden + self.embedding * (1 if self.tied else 2)

    def adapter_parameters(self, rank: int) -> int:
        """Parameters of LoRA on every matrix of the layers (verl's `all-linear`): rank x (inputs + outputs) each."""
        return self.layers * rank * (7 * self.hidden + 2 * self.queries + 2 * self.keys + 3 * self.intermediate)

    def forward_flops(self, length: float) -> float:
        """Operations of a forward pass per token, in sequences of `length` tokens.

        Two per weight of every multiplied matrix; causal attention adds 2 x 2 x width x length / 2 per layer.
        """
        return 2 * (self.layers * self.layer_linear + self.embedding) + 2 * self.layers * self.queries * length

    def kv_bytes(self, element: int) -> int:
        """Key-value cache per token: 2 x layers x key heads x head size x bytes (vllm/v1/kv_cache_interface.py:212)."""
        return 2 * self.layers * self.keys * element

    def saved_bytes(self, element: int, lora_dropout: bool) -> int:
        """Bytes per token that a layer saves for its backward pass, at `element` bytes per number, fused attention.

        Each norm saves its input in float32, the normalized input and its output; attention saves queries, keys, values
        and its output; the MLP gate, activated gate, up and their product; LoRA dropout each matrix's input and a mask.
        """
        e, attention = element, self.queries + self.keys
        size = 2 * self.hidden * (4 + 2 * e) + 2 * attention * e + 4 * self.intermediate * e
        if self.qk_norm:
            size += attention * (4 + e)
        if lora_dropout:
            size += (5 * self.hidden + self.queries + self.intermediate) * (e + 1)
        return size


# The `config.json` of each model on the Hugging Face hub.
PUBLISHED = {
    "Qwen/Qwen3-0.6B": Architecture(151936, 1024, 3072, 28, 16, 8, 128, tied=True, qk_norm=True),
    "Qwen/Qwen3-1.7B": Architecture(151936, 2048, 6144, 28, 16, 8, 128, tied=True, qk_norm=True),
    "Qwen/Qwen3-4B": Architecture(151936, 2560, 9728, 36, 32, 8, 128, tied=True, qk_norm=True),
    "Qwen/Qwen3-8B": Architecture(151936, 4096, 12288, 36, 32, 8, 128, tied=False, qk_norm=True),
    "Qwen/Qwen3-32B": Architecture(151936, 5120, 25600, 64, 64, 8, 128, tied=False, qk_norm=True),
    "meta-llama/Llama-3.1-8B-Instruct": Architecture(128256, 4096, 14336, 32, 32, 8, 128, tied=False, qk_norm=False),
    SMOLLM2: Architecture(49152, 576, 1536, 30, 9, 3, 64, tied=True, qk_norm=False),
    "HuggingFaceTB/SmolLM2-135M-Instruct": Architecture(49152, 576, 1536, 30, 9, 3, 64, tied=True, qk_norm=False),
    "mistralai/Mistral-7B-Instruct-v0.3": Architecture(32768, 4096, 14336, 32, 32, 8, 128, tied=False, qk_norm=False),
}


def architecture_of(recipe: Recipe) -> Architecture:
    """The architecture from `recipe.base`, the checkpoint's config.json (local, or in the hub's cache), or `PUBLISHED`.

    Raises `UnknownArchitecture` if none of them has the model.
    """
    path = recipe.model.path
    if path.startswith(BUILTIN):
        return PUBLISHED.get(path) or _builtin(recipe)
    local = Path(path).expanduser()
    file = local / "config.json" if local.is_dir() else try_to_load_from_cache(path, "config.json")
    if isinstance(file, str | Path):
        return from_config(json.loads(Path(file).read_text()))
    if path in PUBLISHED:
        return PUBLISHED[path]
    raise UnknownArchitecture(
        f"no plan for model.path={path}: its shape is not known here; fetch its config.json with "
        f"`hf download {path} config.json`, or set model.path to a local checkpoint"
    )


def from_config(config: dict[str, Any]) -> Architecture:
    """The architecture from the contents of a config.json. Raises `UnknownArchitecture` if a size is missing."""
    kind = config.get("model_type", "unknown")
    try:
        return Architecture(
            vocab=config["vocab_size"],
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            layers=config["num_hidden_layers"],
            heads=(heads := config["num_attention_heads"]),
            kv_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            tied=bool(config.get("tie_word_embeddings", False)),
            qk_norm=kind.startswith("qwen3"),
        )
    except KeyError as error:
        raise UnknownArchitecture(
            f"no plan for a model of type {kind}: its config.json has no {error.args[0]}"
        ) from error


def _builtin(recipe: Recipe) -> Architecture:
    base, family = recipe.base, recipe.model.path.removeprefix(BUILTIN)
    task = recipe.model.path in BUILTIN_TASKS
    return Architecture(
        # For a family, an upper bound: see the builders in vcore_verl/builtin.
        vocab={"arithmetic": 262, "puzzles": 262, "laboratory": 35, "laboratory_new": 35}.get(family, 770),
        hidden=base.hidden_size,
        intermediate=base.intermediate_size,
        layers=base.layers,
        heads=base.heads,
        kv_heads=base.kv_heads,
        head_dim=base.hidden_size // base.heads if task else 32,
        tied=task or family == "qwen3",
        qk_norm=task or family == "qwen3",
    )
