"""What to evaluate: the file that passes settings to the child process and its workers. Imports no torch."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from vcore_verl.config.errors import InputError

JOB = "job.json"


class EvaluationError(InputError):
    """An evaluation that cannot run; the message is one line that says what is wrong and what to do."""


@dataclass(frozen=True)
class Sampling:
    """Decoding: `num_samples` responses per prompt at `temperature`, and one greedy response if `greedy`."""

    num_samples: int
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    greedy: bool

    @property
    def responses_per_prompt(self) -> int:
        return self.num_samples + int(self.greedy)


@dataclass(frozen=True)
class Job:
    """The evaluation of one checkpoint on some data sets.

    `checkpoint` is a directory in Hugging Face format, or a hub id; `datasets` maps a name to a parquet file in verl's
    RL row format; `workers` is the number of vLLM engines, each on `tensor_parallel` GPUs, or one CPU process each;
    `reward_file`, `jail` and `fusion_url` are the recipe's. With `log_probs`, responses have their log-probabilities,
    see `Response`.
    """

    stage: str
    checkpoint: str
    datasets: dict[str, str]
    sampling: Sampling
    dtype: str
    device: str
    workers: int
    tensor_parallel: int = 1
    reward_file: str | None = None
    jail: str = "auto"
    fusion_url: str | None = None
    log_probs: bool = False

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> "Job":
        values = json.loads(path.read_text())
        return cls(**(values | {"sampling": Sampling(**values["sampling"])}))
