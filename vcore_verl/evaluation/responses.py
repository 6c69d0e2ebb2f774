"""Files between the workers and the grader: one JSON object per response, appended when it is finished.

An interrupted evaluation resumes from them. Imports no torch.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vcore_verl.evaluation.job import Sampling
from vcore_verl.evaluation.prompts import Prompt, response_seed
from vcore_verl.runs.metrics_file import read

GREEDY, SAMPLE = "greedy", "sample"
Key = tuple[str, str, str, int]  # dataset, prompt_id, decoding, sample_idx


@dataclass(frozen=True)
class Request:
    """One response to generate."""

    prompt: Prompt
    decoding: str
    sample_idx: int
    seed: int

    @property
    def key(self) -> Key:
        return (*self.prompt.key, self.decoding, self.sample_idx)


@dataclass(frozen=True)
class Response:
    """One generated response, with the column names of samples.parquet; `prompt` is the rendered text.

    With log-probabilities: `nll` is the negative one of the response, in nats, before temperature and top_p;
    `logit_norm` is sqrt(sum (1 - p)^2) over the probabilities p of its tokens.
    """

    dataset: str
    prompt_id: str
    decoding: str
    sample_idx: int
    seed: int
    prompt: str
    response: str
    finish_reason: str
    num_tokens: int
    nll: float | None = None
    logit_norm: float | None = None

    @property
    def key(self) -> Key:
        return self.dataset, self.prompt_id, self.decoding, self.sample_idx

    def to_line(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Response":
        """From a line of a worker's file, or a row of samples.parquet, which has more columns."""
        return cls(**{field.name: row[field.name] for field in fields(cls) if field.name in row})


def requests(prompts: list[Prompt], sampling: Sampling) -> list[Request]:
    """All requests of an evaluation; those for one prompt are adjacent, so that they share its prefix."""
    decodings = [(GREEDY, 0)] * sampling.greedy + [(SAMPLE, idx) for idx in range(sampling.num_samples)]
    return [
        Request(prompt, decoding, idx, response_seed(sampling.seed, prompt, idx))
        for prompt in prompts
        for decoding, idx in decodings
    ]


def file_of(folder: Path, worker: int) -> Path:
    return folder / f"responses-{worker}.jsonl"


def read_all(folder: Path) -> list[Response]:
    """Every complete line of every worker; a line left half-written by a killed worker is skipped."""
    return [Response.of(line) for path in sorted(folder.glob("responses-*.jsonl")) for line in read(path)]


def drop_partial_line(path: Path) -> None:
    """Remove a half-written last line, so that the next worker starts on a new line."""
    if path.exists():
        content = path.read_bytes()
        path.write_bytes(content[: content.rfind(b"\n") + 1])
