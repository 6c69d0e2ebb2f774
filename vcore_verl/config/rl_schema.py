"""The section `rl` as types: the common keys, and those that the chosen algorithm's file declares. Imports no torch."""

from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, cast

from omegaconf import MISSING

from vcore_verl.config import algorithms
from vcore_verl.config.errors import RecipeError
from vcore_verl.config.ranges import Count, NotNegative, Positive, Schedule, Share
from vcore_verl.setting import Setting

# verl/trainer/ppo/core_algos.py, agg_loss
LOSS_AGGREGATIONS = ("token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-sum-norm", "seq-mean-token-mean")


@dataclass
class RlLora:
    """Low-rank adapters for RL; rank 0 trains all parameters. No dropout: its noise would enter the ratio of the new to
    the old policy.
    """

    rank: Annotated[int, Setting(low=0, high=512)] = 0  # vLLM's largest (config/lora.py, MaxLoRARanks)
    alpha: Annotated[int, Setting(low=0)] = 0


@dataclass
class Rl:
    """Reinforcement learning; batch sizes are global. `verl` is merged into verl's PPO configuration.

    `file` defines the algorithm if the package does not. These are the keys of all algorithms; `rl_section` derives the
    types with an algorithm's own.
    """

    declaration: ClassVar[algorithms.Declaration | None] = None

    name: str = MISSING
    algorithm: str | None = None  # as registered; null: the name if there is a file, else grpo
    file: str | None = None
    variant: str = ""  # name for other settings of RL; their runs are stored in <rl>+<variant>
    steps: Count = MISSING
    prompts_per_step: Count = MISSING
    samples_per_prompt: Count = MISSING
    mini_batch_prompts: Count = MISSING
    max_tokens_per_rank: Count = MISSING
    max_response_tokens: Count = MISSING
    learning_rate: Positive = MISSING
    schedule: Schedule = "cosine"
    warmup_ratio: Share = MISSING
    temperature: Positive = 1.0
    clip_low: Annotated[float, Setting(above=0, high=1)] = 0.2
    clip_high: Positive = 0.2
    kl_coef: NotNegative = 0.0
    entropy_coef: NotNegative = 0.0
    loss_aggregation: Annotated[str, Setting(choices=LOSS_AGGREGATIONS)] = "token-mean"
    dynamic_sampling: bool = False
    overlong_buffer: Annotated[int, Setting(low=0)] = 0
    lora: RlLora = field(default_factory=RlLora)
    save_every: Count = MISSING
    test_every: Annotated[int | None, Setting(low=1)] = None  # steps from one test to the next; null: no tests
    verl: dict[str, Any] = field(default_factory=dict)

    @property
    def method(self) -> algorithms.Declaration:
        """The algorithm as declared."""
        return self.declaration or algorithms.builtin()[algorithms.DEFAULT]

    @property
    def settings(self) -> dict[str, Any]:
        """The algorithm's own settings, as its class takes them."""
        return {item.name: getattr(self, item.name) for item in self.method.parameters}


@cache
def rl_section(declaration: algorithms.Declaration) -> type[Rl]:
    """The type of `rl` for an algorithm. Raises `RecipeError` if it declares a common key as its own, or ignores one
    that does not exist.
    """
    common = [item.name for item in fields(Rl)]
    for item in declaration.parameters:
        if item.name in common:
            raise RecipeError(f"{declaration.file}: {declaration.name}: rl.{item.name} is a key of all algorithms")
    for name in declaration.ignores:
        if name not in common:
            raise RecipeError(f"{declaration.file}: {declaration.name} ignores {name}, which is no key of rl")
    own = [(item.name, Annotated[item.kind, item.setting], item.default) for item in declaration.parameters]
    made = make_dataclass("Rl", own, bases=(Rl,), namespace={"declaration": declaration})
    return cast(type[Rl], made)
