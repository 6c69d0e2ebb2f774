"""The stages' effective settings that affect memory and time. Imports no torch."""

from dataclasses import dataclass
from typing import Any

from vcore_verl.config.checks import is_code
from vcore_verl.config.overrides import flat, lookup
from vcore_verl.config.recipe import Recipe
from vcore_verl.preflight.estimate.architecture import Architecture, architecture_of
from vcore_verl.rl import command as rl
from vcore_verl.runs.layout import Run
from vcore_verl.sft import command as sft

RL = "actor_rollout_ref"
# verl's keys that the plan reads, each below `sft.verl` or `rl.verl`; `not_modelled` names the others that are set.
MODELLED = {
    "sft": frozenset({"model.enable_gradient_checkpointing"}),
    "rl": frozenset(
        {
            "trainer.n_gpus_per_node",
            "trainer.nnodes",
            f"{RL}.model.enable_gradient_checkpointing",
            f"{RL}.model.use_fused_kernels",
            f"{RL}.actor.calculate_entropy",
            f"{RL}.actor.fsdp_config.offload_policy",
            f"{RL}.actor.fsdp_config.optimizer_offload",
            f"{RL}.actor.fsdp_config.param_offload",
            f"{RL}.rollout.tensor_model_parallel_size",
            f"{RL}.rollout.gpu_memory_utilization",
            f"{RL}.rollout.checkpoint_engine.update_weights_bucket_megabytes",
        }
    ),
}


@dataclass(frozen=True)
class Settings:
    """A recipe with the verl settings of both trainers, nested as in their commands.

    A `section` is "sft" or "rl".
    """

    recipe: Recipe
    model: Architecture
    sft: dict[str, Any]
    rl: dict[str, Any]

    @property
    def on_cpu(self) -> bool:
        return self.recipe.hardware.device == "cpu"

    @property
    def element(self) -> int:
        """Bytes per number in computation."""
        return 4 if self.recipe.model.dtype == "float32" else 2

    def ranks(self, section: str) -> int:
        """Processes over which the model's states are sharded."""
        if section == "sft":
            return self.recipe.hardware.gpus * self.recipe.hardware.nodes
        return self.in_rl("trainer.n_gpus_per_node", 1) * self.in_rl("trainer.nnodes", 1)

    def adapter_rank(self, section: str) -> int:
        """Rank of the trained adapters, 0 if all parameters are trained."""
        return self.recipe.model.lora.rank if section == "sft" else self.recipe.rl.lora.rank

    def trains_all(self, section: str) -> bool:
        """Whether all parameters are trained, not only adapters."""
        return self.adapter_rank(section) == 0

    def trained(self, section: str) -> int:
        """Number of trained parameters."""
        if self.trains_all(section):
            return self.model.parameters
        return self.model.adapter_parameters(self.adapter_rank(section))

    def parameters(self, section: str) -> int:
        """Number of all parameters, adapters included."""
        return self.model.parameters + (0 if self.trains_all(section) else self.trained(section))

    def tokens(self, section: str) -> int:
        """Tokens of a micro-batch on one rank. If ranks share sequences, micro-batches are larger, but each rank has as
        many tokens (verl/workers/engine/utils.py:111).
        """
        return self.recipe.sft.max_tokens_per_rank if section == "sft" else self.recipe.rl.max_tokens_per_rank

    def longest(self, section: str) -> int:
        """Tokens of the longest sequence."""
        data = self.recipe.data
        return data.cutoff_tokens if section == "sft" else data.max_prompt_tokens + self.recipe.rl.max_response_tokens

    def checkpoints_activations(self, section: str) -> bool:
        """Whether only each layer's input is saved and the rest recomputed in the backward pass."""
        place = "model" if section == "sft" else f"{RL}.model"
        return bool(self._verl(section, f"{place}.enable_gradient_checkpointing", True))

    @property
    def fuses_log_probs(self) -> bool:
        """Whether RL computes log-probabilities without materializing all logits."""
        return bool(self.in_rl(f"{RL}.model.use_fused_kernels", False))

    @property
    def logs_entropy(self) -> bool:
        """Whether RL computes the entropy even if its coefficient is 0."""
        return bool(self.in_rl(f"{RL}.actor.calculate_entropy", False))

    @property
    def tensor_parallel(self) -> int:
        """GPUs of one rollout engine."""
        return self.in_rl(f"{RL}.rollout.tensor_model_parallel_size", 1)

    @property
    def rollout_share(self) -> float:
        """vLLM's share of a GPU's memory in RL."""
        return self.in_rl(f"{RL}.rollout.gpu_memory_utilization", 0.5)

    def offloads(self, key: str) -> bool:
        """Whether the policy's FSDP engine offloads part of its states to main memory by `key`."""
        return bool(self.in_rl(f"{RL}.actor.fsdp_config.{key}", False))

    def in_rl(self, key: str, default: Any) -> Any:
        """A verl setting of RL; `default` is verl's."""
        return self._verl("rl", key, default)

    def _verl(self, section: str, key: str, default: Any) -> Any:
        if key not in MODELLED[section]:
            raise KeyError(f"{key} is not in MODELLED, and the plan would call it not modelled")
        value = lookup(self.sft if section == "sft" else self.rl, key)
        return default if value is None else value

    @property
    def bucket(self) -> float:
        """Bytes of the buffer that transfers weights to a rollout engine."""
        return self.in_rl(f"{RL}.rollout.checkpoint_engine.update_weights_bucket_megabytes", 2048) * 2**20

    def not_modelled(self) -> list[str]:
        """What the plan ignores although it may change memory or speed: keys of verl, and running programs."""
        found = []
        for section, trains in {"sft": self.recipe.has_sft, "rl": self.recipe.has_rl}.items():
            keys = flat(getattr(self.recipe, section).verl) if trains else {}
            found += [f"{section}.verl.{key}={value}" for key, value in keys.items() if key not in MODELLED[section]]
        if self.recipe.has_rl and self.offloads("offload_policy"):
            found.append(f"the time that rl.verl.{RL}.actor.fsdp_config.offload_policy costs")
        if is_code(self.recipe):
            found.append("the time of running programs")
        return found


def settings_of(recipe: Recipe) -> Settings:
    """The settings of `recipe`. Raises `UnknownArchitecture` for a model of unknown architecture."""
    run = Run(recipe)
    return Settings(recipe, architecture_of(recipe), sft.verl_settings(recipe, run), rl.verl_settings(recipe, run))
