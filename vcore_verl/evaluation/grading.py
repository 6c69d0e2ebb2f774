"""Scores of responses by the reward that RL trains with, and by other graders, for comparison with published numbers.
Imports no torch.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import reward
from reward import own
from reward.mathematics import MATHEMATICS
from vcore_verl.evaluation.prompts import Prompt
from vcore_verl.evaluation.responses import Response

OTHER_GRADERS = {
    "math_verify": "plain math_verify, as in verl's own reward",
    "box_anywhere": "the last box anywhere in the output counts, unclosed thinking included (paper, appendix C.3)",
}
_THREADS = 4  # the reward has at most 4 worker processes; simple answers are graded in the calling thread


@dataclass(frozen=True)
class Graded:
    """A response and its verdict. `score` is 0 or 1; `status` is one of `reward.STATUSES`.

    `math_verify`, `box_anywhere`: 0 or 1, see `OTHER_GRADERS`; None in other domains than mathematics.
    """

    prompt: Prompt
    response: Response
    score: float
    status: str
    extracted: str
    math_verify: float | None
    box_anywhere: float | None


class Grader:
    """Grades responses as they arrive; as a context manager, it ends its threads on exit.

    With a `reward_file`, the score is the `acc` of its function. `options` are `reward.Options`.
    """

    def __init__(
        self, prompts: list[Prompt], reward_file: str | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        self._own = partial(own.compute_score, file=reward_file) if reward_file else None
        self._options = dict(options or {})
        self._prompts = {prompt.key: prompt for prompt in prompts}
        self._threads = ThreadPoolExecutor(_THREADS)

    def __enter__(self) -> "Grader":
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def grade(self, responses: Iterable[Response]) -> Iterator[Graded]:
        return self._threads.map(self._grade, responses)

    def _grade(self, response: Response) -> Graded:
        prompt = self._prompts[response.dataset, response.prompt_id]
        asked = (prompt.data_source, response.response, prompt.gold, prompt.extra_info)
        if not _is_mathematics(prompt):
            verdict = self._own(*asked) if self._own else self._ours(prompt, *asked)
            return Graded(prompt, response, verdict["acc"], verdict["status"], verdict["extracted"], None, None)
        ours = self._ours(prompt, *asked)
        verdict = self._own(*asked) if self._own else ours
        plain = reward.plain_score(response.response, prompt.gold)
        anywhere = _box_anywhere(prompt, response.response) if ours["status"] == "no_answer" else ours["score"]
        return Graded(prompt, response, verdict["acc"], verdict["status"], verdict["extracted"], plain, anywhere)

    def _ours(self, prompt: Prompt, *asked: Any) -> Mapping[str, Any]:
        return reward.compute_score(*asked, tests=prompt.tests, **self._options)


def _is_mathematics(prompt: Prompt) -> bool:
    return reward.domain_of(prompt.data_source) is MATHEMATICS


def _box_anywhere(prompt: Prompt, response: str) -> float:
    """The score, by its last box, of a response with no answer after its thinking."""
    text = response.replace("<think>", "").replace("</think>", "")
    return reward.compute_score(prompt.data_source, text, prompt.gold, prompt.extra_info)["score"]


def grader_version(domains: Collection[str], reward_file: str | None = None) -> str:
    """Hash of the reward's code for `domains`, of what its verdicts depend on besides, and of `reward_file`; only
    scores with equal hashes are compared.
    """
    digest, folder = hashlib.sha256(), Path(reward.__file__).parent
    files = sorted(folder.glob("*.py"))
    for name in sorted(domains):
        domain = reward.DOMAINS[name]
        digest.update(domain.version().encode())
        files += sorted((folder / domain.folder).rglob("*.py"))
    for path in files:
        digest.update(path.name.encode() + path.read_bytes())
    if reward_file:
        digest.update(Path(reward_file).read_bytes())
    return digest.hexdigest()[:16]


def domains_of(datasets: Iterable[Path]) -> set[str]:
    """The domains of the problems in Parquet files of verl's RL rows."""
    tables = (pq.read_table(path, columns=["data_source"]) for path in datasets)
    return {reward.domain_of(name).name for table in tables for name in table["data_source"].unique().to_pylist()}
