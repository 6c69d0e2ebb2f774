"""The recipe as types: every key there is, with its meaning. Imports no torch.

What is `MISSING` here has its value in `recipes/base.yaml` or in the recipe itself.
"""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class Lora:
    """Low-rank adapters for SFT; rank 0 is full fine-tuning."""

    rank: int = 0
    alpha: int = 0
    dropout: float = 0.0


@dataclass
class Model:
    """The base model: a hub id, a local directory, or `builtin:...` (made by the base stage).

    `family` is the architecture and chat template of `path`: it says what a smoke run builds in its place.
    """

    path: str = MISSING
    family: str = "qwen3"
    dtype: str = "bfloat16"
    lora: Lora = field(default_factory=Lora)


@dataclass
class Hardware:
    """Where it runs. `device: auto` is resolved once, by the launcher."""

    device: str = "auto"
    gpus: int = 8  # ranks per node; on a CPU, processes
    nodes: int = 1
    tensor_parallel: int = 1  # GPUs of one vLLM engine
    stall_minutes: float = 30.0


@dataclass
class Base:
    """How the built-in base model is made; used only where `model.path` is `builtin:...`."""

    layers: int = 4
    hidden_size: int = 128
    heads: int = 4
    kv_heads: int = 2
    intermediate_size: int = 384
    steps: int = 600
    batch_size: int = 64
    learning_rate: float = 1e-3


@dataclass
class Data:
    """Training and test sets. `sft`, `rl`: the hub id of a known source, a local file or directory, or
    `builtin:arithmetic`.
    """

    sft: str = MISSING
    rl: str = MISSING
    num_sft: int = MISSING
    num_rl: int = MISSING
    num_test: int = MISSING
    max_prompt_tokens: int = MISSING
    cutoff_tokens: int = MISSING  # prompt and trace of an SFT example
    overlong: str = "drop"  # or truncate: SFT examples beyond it
    solve_rate: list[float] | None = None  # [low, high]: RL problems that a small model solves so often
    decontaminate: list[str] | None = None  # benchmarks whose problems training leaves out; null: all of them
    sft_revision: str | None = None  # a commit of the hub's repository; null: the newest
    rl_revision: str | None = None
    mirror: str | None = None  # a directory of copies under their hub ids, or builtin:samples; used instead of the hub


@dataclass
class Probe:
    """How VCORE measures the utility of a token: gradient, virtual update, derivative along it."""

    gradient: str = "fresh"
    batch_size: int = 32
    update: str = "sgd"
    derivative: str = "jvp"
    epsilon: Any = "auto"  # a float, or "auto"
    clip_grad: float | None = None
    every: int = 1


@dataclass
class Init:
    """The initialiser: the SFT objective that prepares the model for RL."""

    name: str = MISSING
    probe: Probe = field(default_factory=Probe)
    temperature: float | None = None
    kl_budget: float | None = None
    variance_control: str = "loss_ratio"
    level: str = "sequence"
    keep: float = 0.2


@dataclass
class VcorePaper:
    """The paper's Table 7 for the recipe's model, read by `init=vcore_paper` alone: finite-difference step, and what
    divides the utility in the softmax.
    """

    epsilon: float = 1e-4
    temperature: float = 5e3


@dataclass
class Sft:
    """Supervised fine-tuning; batch sizes are global. `verl` is merged into verl's SFT configuration."""

    steps: int = MISSING
    batch_size: int = MISSING
    max_tokens_per_rank: int = MISSING
    learning_rate: float = MISSING
    schedule: str = "cosine"
    warmup_ratio: float = MISSING
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    weight_decay: float = 0.0
    clip_grad: float = 1.0
    save_every: int = MISSING
    verl: dict[str, Any] = field(default_factory=dict)


@dataclass
class Rl:
    """Reinforcement learning; batch sizes are global. `verl` is merged into verl's PPO configuration."""

    name: str = MISSING
    steps: int = MISSING
    prompts_per_step: int = MISSING
    samples_per_prompt: int = MISSING
    mini_batch_prompts: int = MISSING
    max_tokens_per_rank: int = MISSING
    max_response_tokens: int = MISSING
    learning_rate: float = MISSING
    schedule: str = "cosine"
    warmup_ratio: float = MISSING
    temperature: float = 1.0
    clip_low: float = 0.2
    clip_high: float = 0.2
    kl_coef: float = 0.0
    entropy_coef: float = 0.0
    loss_aggregation: str = "token-mean"
    dynamic_sampling: bool = False
    overlong_buffer: int = 0
    save_every: int = MISSING
    verl: dict[str, Any] = field(default_factory=dict)


@dataclass
class Evaluation:
    """Sampling at evaluation: `num_samples` per prompt, and one greedy answer where `greedy`."""

    datasets: list[str] = MISSING
    max_prompts: int | None = None  # the first so many of each benchmark
    num_samples: int = MISSING
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = MISSING
    seed: int = 42
    greedy: bool = True


@dataclass
class Recipe:
    """All there is to say about one run."""

    name: str = MISSING
    seed: int = 0
    variant: str = ""
    output_dir: str = "runs"
    tracking: list[str] = field(default_factory=list)  # trackers of verl's, beside metrics.jsonl
    model: Model = field(default_factory=Model)
    hardware: Hardware = field(default_factory=Hardware)
    base: Base = field(default_factory=Base)
    data: Data = field(default_factory=Data)
    init: Init = field(default_factory=Init)
    vcore_paper: VcorePaper = field(default_factory=VcorePaper)
    sft: Sft = field(default_factory=Sft)
    rl: Rl = field(default_factory=Rl)
    evaluation: Evaluation = field(default_factory=Evaluation)
