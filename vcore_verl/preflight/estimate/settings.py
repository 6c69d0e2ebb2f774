"""What the stages will really set, as far as memory and time hang on it. Imports no torch."""

from dataclasses import dataclass
from typing import Any

from vcore_verl.config.overrides import lookup, merge
from vcore_verl.config.recipe import Recipe
from vcore_verl.preflight.estimate.architecture import Architecture, architecture_of
from vcore_verl.rl import command as rl
from vcore_verl.runs.layout import Run
from vcore_verl.sft import command as sft

RL = "actor_rollout_ref"


@dataclass(frozen=True)
class Settings:
    """A recipe with the verl settings of both trainers, nested as their commands give them."""

    recipe: Recipe
    model: Architecture
    sft: dict[str, Any]
    rl: dict[str, Any]

    @property
    def on_cpu(self) -> bool:
        return self.recipe.hardware.device == "cpu"

    @property
    def ranks(self) -> int:
        """Processes that share a model in SFT."""
        return self.recipe.hardware.gpus * self.recipe.hardware.nodes

    @property
    def rl_ranks(self) -> int:
        return self.in_rl("trainer.n_gpus_per_node", 1) * self.in_rl("trainer.nnodes", 1)

    @property
    def element(self) -> int:
        """Bytes of a number in computation."""
        return 4 if self.recipe.model.dtype == "float32" else 2

    @property
    def trainable_in_sft(self) -> int:
        """Parameters that SFT trains: the adapters where there are any."""
        rank = self.recipe.model.lora.rank
        return self.model.adapter_parameters(rank) if rank else self.model.parameters

    @property
    def in_sft(self) -> int:
        """All parameters in SFT."""
        return self.model.parameters + self.model.adapter_parameters(self.recipe.model.lora.rank)

    @property
    def tensor_parallel(self) -> int:
        """GPUs of one rollout engine."""
        return self.in_rl(f"{RL}.rollout.tensor_model_parallel_size", 1)

    @property
    def sequence_parallel(self) -> int:
        """Ranks that share the tokens of a micro-batch in RL."""
        return self.in_rl(f"{RL}.actor.ulysses_sequence_parallel_size", 1)

    def checkpoints_activations(self, section: str) -> bool:
        """Whether "sft" or "rl" keeps only each layer's input, and computes the rest again in the backward pass."""
        settings, key = (self.sft, "model") if section == "sft" else (self.rl, f"{RL}.model")
        return lookup(settings, f"{key}.enable_gradient_checkpointing") is not False

    def in_rl(self, key: str, default: Any) -> Any:
        """A setting of RL; `default` is verl's own."""
        value = lookup(self.rl, key)
        return default if value is None else value


def settings_of(recipe: Recipe) -> Settings:
    """Raises `UnknownArchitecture` for a model whose shape is not known here."""
    run = Run(recipe)
    return Settings(
        recipe,
        architecture_of(recipe),
        sft=sft.verl_settings(recipe, run),
        rl=merge(rl.verl_settings(recipe, run), recipe.rl.verl),
    )
