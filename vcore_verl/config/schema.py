"""The recipe as types: every key, with its meaning and range. Imports no torch.

`MISSING` values are set in `recipes/base.yaml` or in the recipe itself. The sections `init` and `rl`, whose keys depend
on what they choose, are in `init_schema` and `rl_schema`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

from omegaconf import MISSING

from vcore_verl.config.init_schema import Init
from vcore_verl.config.ranges import Count, NotNegative, Positive, Schedule, Share
from vcore_verl.config.rl_schema import Rl
from vcore_verl.setting import Setting

NONE = "none"  # init=none: no SFT, rl=none: no RL

Device = Annotated[str, Setting(choices=("auto", "cuda", "cpu"))]
Dtype = Annotated[str, Setting(choices=("bfloat16", "float32"))]
Family = Annotated[str, Setting(choices=("qwen3", "llama", "mistral"))]
Overlong = Annotated[str, Setting(choices=("drop", "truncate"))]


@dataclass
class Lora:
    """Low-rank adapters for SFT; rank 0 is full fine-tuning."""

    rank: Annotated[int, Setting(low=0)] = 0
    alpha: Annotated[int, Setting(low=0)] = 0
    dropout: Annotated[float, Setting(low=0, below=1)] = 0.0


@dataclass
class Model:
    """The base model: a hub id, a local directory, or `builtin:...` (made by the base stage).

    `family` is the architecture and chat template of `path`; a smoke run builds a small model of it instead.
    """

    path: str = MISSING
    family: Family = "qwen3"
    dtype: Dtype = "bfloat16"
    lora: Lora = field(default_factory=Lora)


@dataclass
class Hardware:
    """The hardware to run on. `device: auto` is resolved once, by the launcher."""

    device: Device = "auto"
    gpus: Count = 8  # ranks per node; on a CPU, processes
    nodes: Count = 1
    tensor_parallel: Count = 1  # GPUs of one vLLM engine
    stall_minutes: Positive = 30.0


@dataclass
class Base:
    """How a built-in base model is made; used only if `model.path` is `builtin:...`."""

    layers: Count = 4
    hidden_size: Count = 128
    heads: Count = 4
    kv_heads: Count = 2
    intermediate_size: Count = 384
    steps: Annotated[int, Setting(low=0)] = 600
    batch_size: Count = 64
    learning_rate: Positive = 1e-3


@dataclass
class Data:
    """Training and test sets. `sft`, `rl`: the hub id of a known source, a local file or directory,
    `reasoning_gym:<data set>`, or both the same built-in task.
    """

    sft: str = MISSING
    rl: str = MISSING
    num_sft: Count = MISSING
    num_rl: Count = MISSING
    num_test: Count = MISSING
    num_validation: Annotated[int, Setting(low=2)] = 200  # problems for choosing settings; in no other set
    max_prompt_tokens: Count = MISSING
    cutoff_tokens: Count = MISSING  # prompt and trace of an SFT example
    overlong: Overlong = "drop"  # or truncate: longer SFT examples
    solve_rate: Annotated[list[float] | None, Setting(low=0, high=1)] = (
        None  # [low, high]: RL problems with this solve rate of a small model
    )
    decontaminate: list[str] | None = None  # benchmarks to exclude from training; null: all of them
    sft_revision: str | None = None  # commit of the hub repository; null: the newest
    rl_revision: str | None = None
    mirror: str | None = None  # directory of copies under their hub ids, or builtin:samples; replaces the hub


@dataclass
class Sft:
    """Supervised fine-tuning; batch sizes are global. `verl` is merged into verl's SFT configuration."""

    steps: Count = MISSING
    batch_size: Count = MISSING
    max_tokens_per_rank: Count = MISSING
    learning_rate: Positive = MISSING
    schedule: Schedule = "cosine"
    warmup_ratio: Share = MISSING
    betas: Annotated[list[float], Setting(low=0, below=1)] = field(default_factory=lambda: [0.9, 0.999])
    weight_decay: NotNegative = 0.0
    clip_grad: Positive = 1.0
    save_every: Count = MISSING
    verl: dict[str, Any] = field(default_factory=dict)


@dataclass
class Code:
    """How the reward runs programs; for problems of programming only."""

    max_tests: Count = 15  # of a problem in RL, those with the longest inputs; evaluation runs all
    jail: Annotated[str, Setting(choices=("auto", "namespaces", "landlock"))] = "auto"  # the confinement to insist on
    fusion_url: str | None = None  # a Sandbox Fusion service that runs programs in place of this machine


@dataclass
class Evaluation:
    """Sampling at evaluation: `num_samples` per prompt, and one greedy answer if `greedy`."""

    datasets: list[str] = MISSING
    max_prompts: Annotated[int | None, Setting(low=1)] = None  # the first of each benchmark; null: all
    num_samples: Count = MISSING
    temperature: Positive = 1.0
    top_p: Annotated[float, Setting(above=0, high=1)] = 1.0
    max_tokens: Count = MISSING
    seed: int = 42
    greedy: bool = True


@dataclass
class Primary:
    """The metric that decides a comparison, fixed before the runs. All others are secondary.

    `dataset: null` is the first of `evaluation.datasets`; `stage` is the training after which accuracy is measured; rl
    means sft if no run has RL.
    """

    dataset: str | None = None
    stage: Annotated[str, Setting(choices=("sft", "rl"))] = "rl"
    decoding: Annotated[str, Setting(choices=("sampled", "greedy"))] = "sampled"


@dataclass
class Comparison:
    """How the runs of a recipe are compared. Affects only the report, not the runs."""

    primary: Primary = field(default_factory=Primary)


@dataclass
class Recipe:
    """Everything that determines one run.

    `file`, `init_file` and `rl_file` are YAML files given by path; `load` sets them, like `init.file`.
    """

    name: str = MISSING
    seed: int = 0
    variant: str = ""
    output_dir: str = "runs"
    tracking: list[str] = field(default_factory=list)  # verl's trackers, in addition to metrics.jsonl
    reward_file: str | None = None  # a Python file with `compute_score`, in place of the package `reward`
    file: str | None = None  # of a recipe outside recipes/
    init_file: str | None = None
    rl_file: str | None = None
    model: Model = field(default_factory=Model)
    hardware: Hardware = field(default_factory=Hardware)
    base: Base = field(default_factory=Base)
    data: Data = field(default_factory=Data)
    init: Init = field(default_factory=Init)
    sft: Sft = field(default_factory=Sft)
    rl: Rl = field(default_factory=Rl)
    code: Code = field(default_factory=Code)
    evaluation: Evaluation = field(default_factory=Evaluation)
    comparison: Comparison = field(default_factory=Comparison)

    @property
    def word(self) -> str:
        """The recipe's name on the command line: its file if that is outside `recipes/`."""
        return self.file or self.name

    @property
    def init_word(self) -> str:
        """The value of `init=` that selects the same objective."""
        return self.init_file or self.init.name

    @property
    def rl_word(self) -> str:
        """The value of `rl=` that selects the same algorithm."""
        return self.rl_file or self.rl.name

    @property
    def primary_dataset(self) -> str:
        return self.comparison.primary.dataset or self.evaluation.datasets[0]

    @property
    def has_sft(self) -> bool:
        return self.init.name != NONE

    @property
    def has_rl(self) -> bool:
        return self.rl.name != NONE


def described(section: Any, prefix: str = "") -> Iterator[tuple[str, Setting, Any]]:
    """Dotted key, `Setting` and value of everything in a recipe or section that has a range or choices."""
    hints = get_type_hints(type(section), include_extras=True)
    for item in fields(section):
        value = getattr(section, item.name)
        if is_dataclass(value):
            yield from described(value, f"{prefix}{item.name}.")
        for known in getattr(hints[item.name], "__metadata__", ()):
            yield f"{prefix}{item.name}", known, value
