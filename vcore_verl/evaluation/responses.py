"""Files between the workers and the grader: one JSON object a response, appended as it is finished.

They are what an interrupted evaluation continues from. Imports no torch.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from vcore_verl.evaluation.job import Sampling
from vcore_verl.evaluation.prompts import Prompt, response_seed
from vcore_verl.runs.metrics_file import GrowingFile

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
    """One generated response; `rendered_prompt` is what the model saw, `num_tokens` counts the response's tokens."""

    dataset: str
    prompt_id: str
    decoding: str
    sample_idx: int
    seed: int
    rendered_prompt: str
    text: str
    finish_reason: str
    num_tokens: int

    @property
    def key(self) -> Key:
        return self.dataset, self.prompt_id, self.decoding, self.sample_idx

    def to_line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


def requests(prompts: list[Prompt], sampling: Sampling) -> list[Request]:
    """All responses an evaluation consists of; those of one prompt lie together, so that they share its prefix."""
    planned = []
    for prompt in prompts:
        if sampling.greedy:
            planned.append(Request(prompt, GREEDY, 0, response_seed(sampling.seed, prompt, 0)))
        for idx in range(sampling.num_samples):
            planned.append(Request(prompt, SAMPLE, idx, response_seed(sampling.seed, prompt, idx)))
    return planned


def file_of(folder: Path, worker: int) -> Path:
    return folder / f"responses-{worker}.jsonl"


def read_all(folder: Path) -> list[Response]:
    """Every complete line of every worker; a line that a killed worker left half-written is not one."""
    return [response for path in sorted(folder.glob("responses-*.jsonl")) for response in Tail(path).read()]


class Tail:
    """Reads a growing file of responses, each of them once."""

    def __init__(self, path: Path):
        self._file = GrowingFile(path)

    def read(self) -> Iterator[Response]:
        return (Response(**line) for line in self._file.new_lines())


def drop_partial_line(path: Path) -> None:
    """Cut off a half-written last line, so that the next worker's first line stands alone."""
    if path.exists():
        content = path.read_bytes()
        path.write_bytes(content[: content.rfind(b"\n") + 1])
