"""Scores of responses by the reward that RL trains with, and by other graders, for comparison with published numbers.
Imports no torch.
"""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import reward
from reward import own
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

    `math_verify`, `box_anywhere`: 0 or 1, see `OTHER_GRADERS`.
    """

    prompt: Prompt
    response: Response
    score: float
    status: str
    extracted: str
    math_verify: float
    box_anywhere: float


class Grader:
    """Grades responses as they arrive; as a context manager, it ends its threads on exit.

    With a `reward_file`, the score is the `acc` of its function.
    """

    def __init__(self, prompts: list[Prompt], reward_file: str | None = None):
        self._own = partial(own.compute_score, file=reward_file) if reward_file else None
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
        ours = reward.compute_score(*asked)
        verdict = self._own(*asked) if self._own else ours
        plain = reward.plain_score(response.response, prompt.gold)
        anywhere = _box_anywhere(prompt, response.response) if ours["status"] == "no_answer" else ours["score"]
        return Graded(prompt, response, verdict["acc"], verdict["status"], verdict["extracted"], plain, anywhere)


def _box_anywhere(prompt: Prompt, response: str) -> float:
    """The score, by its last box, of a response with no answer after its thinking."""
    text = response.replace("<think>", "").replace("</think>", "")
    return reward.compute_score(prompt.data_source, text, prompt.gold, prompt.extra_info)["score"]


def grader_version(reward_file: str | None = None) -> str:
    """Hash of the code of the reward and of `reward_file`, and of the parser's version; only scores with equal hashes
    are compared.
    """
    digest = hashlib.sha256(version("math-verify").encode())
    for path in sorted(Path(reward.__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    if reward_file:
        digest.update(Path(reward_file).read_bytes())
    return digest.hexdigest()[:16]
