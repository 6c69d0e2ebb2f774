"""Problems that reasoning-gym generates (Stojanovski et al., 2025, arXiv 2505.24760): `reasoning_gym:<data set>`, with
the package's own settings of it in parentheses, or several joined by "+" in equal numbers.

A problem belongs to one split by a hash of its question, so that SFT, RL and tests share none, whatever is drawn. Where
problems are made from templates, some templates are held out of training: they are the test out of domain, and other
numbers in the templates of training are part of the one in domain. Imports no torch, and the package only when needed.
"""

import ast
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from vcore_verl.config.checks import REASONING_GYM
from vcore_verl.config.recipe import RecipeError
from vcore_verl.config.versions import installed_version, require
from vcore_verl.data import templates
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import Opened, Row
from vcore_verl.data.rows import Messages, rl_row, user

PACKAGE = "reasoning-gym"
SEED = 0  # of the problems: data are shared by all seeds of a recipe, which vary the training alone
PROBLEMS = 50_000  # generated of each data set, of which runs draw
SPLITS = {"sft": range(0, 40), "rl": range(40, 80), "test": range(80, 100)}  # of 100 buckets
HELD_OUT = range(0, 16)  # of 100 buckets of templates

# Stands before every problem: without it SmolLM2-135M-Instruct puts no answer into \boxed{}, whatever the problem.
EXAMPLE = (
    "State the final answer to the following arithmetic problem: 12 - 5 =",
    "12 - 5 = 7. The answer is \\boxed{7}.",
)


@dataclass(frozen=True)
class Worked:
    """A data set with solutions: from a problem's metadata its solution, which ends with `\\boxed{answer}`; from the
    package's generator and a problem's index the number of its template.
    """

    trace: Callable[[dict[str, Any]], str]
    template: Callable[[Any, int], int]


def _gsm_symbolic(metadata: dict[str, Any]) -> str:
    """The solution with its last line, `#### 12`, in the form that the reward reads."""
    steps, _, answer = metadata["answer_cot"].rpartition("####")
    return f"{steps.rstrip()}\nThe answer is \\boxed{{{answer.strip()}}}."


WORKED = {"gsm_symbolic": Worked(_gsm_symbolic, lambda generator, index: int(generator.task_indices[index]))}


@dataclass(frozen=True)
class Part:
    """A data set of the package, and its settings as keyword arguments."""

    name: str
    settings: dict[str, Any]

    def generator(self, size: int) -> Any:
        from reasoning_gym import create_dataset

        return create_dataset(self.name, seed=SEED, size=size, **self.settings)

    def problems(self, split: str, held_out: bool) -> Iterator[Row]:
        """Those of "sft", "rl" or "test", with `held_out` only of templates that training leaves out: none without
        templates. `trace` is "" where there are no solutions.
        """
        generator, worked = self.generator(PROBLEMS), WORKED.get(self.name)
        for index in range(PROBLEMS):
            if (worked is not None and _held_out(worked.template(generator, index))) != held_out:
                continue
            item = generator[index]
            if _bucket(item["question"]) in SPLITS[split]:
                trace = worked.trace(item["metadata"]) if worked else ""
                yield {"question": item["question"], "answer": str(item["answer"]), "trace": trace}


@dataclass(frozen=True)
class Problems:
    """The problems of several data sets in turn, as rows; those of one split."""

    parts: tuple[Part, ...]
    split: str
    held_out: bool = False

    def __iter__(self) -> Iterator[Row]:
        streams = [part.problems(self.split, self.held_out) for part in self.parts]
        for together in zip(*streams, strict=False):
            yield from together


def is_generated(name: str) -> bool:
    return name.startswith(REASONING_GYM)


def packages(*names: str) -> tuple[str, ...]:
    """The package whose version decides what sources of these names hold, where one is generated."""
    return (PACKAGE,) if any(map(is_generated, names)) else ()


def parts_of(key: str, name: str) -> tuple[Part, ...]:
    """What `reasoning_gym:gsm_symbolic+chain_sum(max_terms=3)` names. Raises `RecipeError` for another form; `key` is
    the recipe's.
    """
    found = []
    for text in name.removeprefix(REASONING_GYM).split("+"):
        match = re.fullmatch(r"(\w+)(\((.*)\))?", text)
        try:
            call = ast.parse(f"dict({match[3] or ''})" if match else "", mode="eval").body
            settings = {item.arg: ast.literal_eval(item.value) for item in getattr(call, "keywords", [])}
        except (SyntaxError, ValueError):
            match = None
        if match is None or None in settings:
            raise RecipeError(f"{key}={name}: cannot read '{text}'; write for example chain_sum(max_terms=3)")
        found.append(Part(match[1], settings))
    return tuple(found)


def check(role: str, name: str) -> None:
    """Raise `RecipeError` where "sft" or "rl" cannot have this source: without the package, for a data set or a setting
    that it does not have, and for SFT without solutions.
    """
    key = f"data.{role}"
    require(f"{key}={name}", PACKAGE, f"pip install {PACKAGE}")
    for part in parts_of(key, name):
        if role == "sft" and part.name not in WORKED:
            known = ", ".join(REASONING_GYM + other for other in WORKED)
            raise RecipeError(f"{key}={name}: {part.name} has no worked solutions to train on; {known} has")
        try:
            part.generator(size=1)
        except (ValueError, TypeError, AssertionError) as error:  # how the package refuses names and settings
            raise RecipeError(f"{key}={name}: reasoning-gym refuses {part.name}: {error}") from error


def opened(role: str, name: str) -> Opened:
    """The problems of "sft" or "rl" that `name` names."""
    revision = f"{PACKAGE} {installed_version(PACKAGE)}, seed {SEED}"
    return Opened(name, revision, Problems(parts_of(f"data.{role}", name), role))


def prompt(question: str) -> Messages:
    """The question after a solved example, both in the paper's template."""
    asked, solution = EXAMPLE
    return [*user(templates.math(asked)), {"role": "assistant", "content": solution}, *user(templates.math(question))]


def evaluation_sets(name: str) -> dict[str, Problems]:
    """The evaluation sets that `data.rl=name` gives: out of domain where it has templates; none for other sources."""
    if not is_generated(name):
        return {}
    parts = parts_of("data.rl", name)
    templated = tuple(part for part in parts if part.name in WORKED)
    held_out = {"out_of_domain": Problems(templated, "test", held_out=True)} if templated else {}
    return {"in_domain": Problems(parts, "test"), **held_out}


def evaluation_rows(name: str, split: str, count: int) -> list[dict[str, Any]]:
    """`count` distinct problems of an evaluation set, as verl's rows. Raises `DataError` where there are fewer."""
    answers: dict[str, str] = {}
    for row in evaluation_sets(name)[split]:
        answers.setdefault(row["question"], row["answer"])
        if len(answers) == count:
            break
    else:
        raise DataError(f"data.num_test={count}, and {name} has {len(answers)} for {split}: set data.num_test to less")
    return [
        rl_row(name, prompt(question), answer, split, index, f"{split}-{index}")
        for index, (question, answer) in enumerate(answers.items())
    ]


def _bucket(text: str) -> int:
    return zlib.crc32(text.encode()) % 100


def _held_out(template: int) -> bool:
    return _bucket(f"template {template}") in HELD_OUT
