"""The training sources: for each, where it is published, its columns, and how a row becomes an example.

Columns and pitfalls of the published sets are from their dataset cards. Imports no torch.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reward.code.blocks import Language
from reward.mathematics import MATHEMATICS
from vcore_verl.config.recipe import Recipe
from vcore_verl.data import generated, templates
from vcore_verl.data.benchmarks.mathematics import held_out
from vcore_verl.data.code import deepcoder, opencode, statements
from vcore_verl.data.code.templates import program
from vcore_verl.data.funnel import Check
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import (
    BIG_MATH,
    BIG_MATH_OPEN,
    Opened,
    Published,
    Row,
    local_files,
    open_files,
    open_published,
)
from vcore_verl.data.rows import Messages, user


@dataclass(frozen=True)
class Example:
    """One row of any source.

    `problem` is the bare question, used to compare rows; `prompt` is the policy's input. `answer` is one accepted
    answer or several, "" if the source has none. RL examples have no `trace`. A `candidate` is in place of the answer
    where the reward runs tests; `names` are those of the problem on the sites that published it (`evaluated.names`).
    """

    problem: str
    prompt: Messages
    answer: Any
    trace: str = ""
    data_source: str = ""
    solve_rate: float | None = None
    candidate: deepcoder.Candidate | None = None
    names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Source:
    """A training source.

    Every row has all of `columns`; rows that one of `filters` rejects are skipped. `size` is the number of published
    rows, for the progress bar; `domain` one of `reward.DOMAINS`. `supervised` sources have traces; `verified` ones also
    have answers, which the traces must reach; `rated` ones state how often a small model solved a problem. `revision`
    is the one that the source is written for; with `one_trace`, one row of each problem is drawn. `completed` makes
    the rows from those published, with the mirror that other sets are read from.
    """

    name: str
    columns: tuple[str, ...]
    example: Callable[[Row], Example]
    published: Published | None = None
    size: int = 0
    filters: tuple[Check, ...] = ()
    domain: str = MATHEMATICS.name
    supervised: bool = False
    verified: bool = False
    rated: bool = False
    revision: str | None = None
    one_trace: bool = False
    completed: Callable[[Iterable[Row], Path | None], Iterable[Row]] | None = None


def equals(column: str, value: str) -> Check:
    return Check(f"{column} is not {value}", lambda row: row[column] != value)


def _columns(problem: str, answer: str = "", trace: str = "", data_source: str = "") -> Callable[[Row], Example]:
    """Make examples from rows with one column per part; "" names a part that they lack."""

    def example(row: Row) -> Example:
        asked = templates.question_of(_text(row[problem]))
        parts = _text(row.get(answer)), _text(row.get(trace))
        return Example(asked, user(templates.math(asked)), *parts, data_source, row.get("llama8b_solve_rate"))

    return example


def _conversation(row: Row) -> Example:
    turns = _turns(row["messages"])
    if not turns or turns[-1]["role"] != "assistant":
        return Example("", [], "")
    return Example(_asked(turns[:-1]), turns[:-1], "", turns[-1]["content"])


def _verl(row: Row) -> Example:
    """A row in verl's format, unchanged, except that the paper's template replaces DAPO's instruction to end with
    "Answer:".
    """
    prompt = _turns(row["prompt"])
    answer, problem, data_source = row["reward_model"]["ground_truth"], _asked(prompt), row["data_source"]
    if wrapped := _DAPO_WRAPPER.fullmatch(problem):
        problem = wrapped["problem"]
        prompt, data_source = user(templates.math(problem)), DAPO
    return Example(problem, prompt, answer, data_source=data_source)


def _turns(messages: list[Row] | None) -> Messages:
    return [{"role": turn["role"], "content": _text(turn["content"])} for turn in messages or []]


def _asked(prompt: Messages) -> str:
    """The user's question, without the paper's template."""
    asked = "\n".join(turn["content"] for turn in prompt if turn["role"] == "user")
    return templates.question_of(asked)


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


CODE = "code"  # the domain
DAPO = "BytedTsinghua-SIA/DAPO-Math-17k"
_DAPO_WRAPPER = re.compile(
    r"Solve the following math problem step by step\. The last line of your response should be of the form Answer:"
    r"[^\n]*\n+(?P<problem>.*?)\n+Remember to put your answer on its own line after \"Answer:\"\.\s*",
    re.DOTALL,
)


def _traces(
    name: str,
    read: Callable[[Row], opencode.Solved],
    columns: tuple[str, ...],
    published: Published,
    size: int,
    language: Language,
    **more: Any,
) -> Source:
    """A source of traces that end with programs in `language`."""

    def example(row: Row) -> Example:
        solved = read(row)
        prompt = user(program(solved.statement, language))
        return Example(solved.statement, prompt, "", solved.trace, names=solved.names)

    return Source(name, columns, example, published, size, domain=CODE, supervised=True, one_trace=True, **more)


def _opencode_2(published: Published, language: Language) -> Source:
    return _traces(
        f"{opencode.OCR_2}:{language}",
        opencode.opencode_2,
        opencode.OCR_2_COLUMNS,
        published,
        opencode.OCR_2_SIZES[language],
        language,
        filters=(opencode.JUDGED_RIGHT, opencode.ends_with_program(language)),
        revision=statements.REVISION,
        completed=lambda rows, mirror: statements.Joined(rows, statements.published_statements(mirror)),
    )


SFT_SOURCES = (
    # Of sources with the same columns, local files are taken to be of the last one.
    _opencode_2(opencode.OCR_2_PYTHON, "python"),
    _opencode_2(opencode.OCR_2_CPP, "cpp"),
    _traces(
        opencode.OCR_1,
        opencode.opencode_1,
        opencode.OCR_1_COLUMNS,
        opencode.OCR_1_SPLIT_0,
        opencode.OCR_1_SIZE,
        "python",
    ),
    _traces(
        f"{opencode.VCORE_DATA}:code",
        opencode.vcore_code,
        opencode.VCORE_COLUMNS,
        opencode.VCORE_CODE,
        opencode.VCORE_SIZE,
        "cpp",
    ),
    Source(
        name="nvidia/OpenMathReasoning",
        columns=("problem", "generated_solution", "expected_answer", "problem_type", "generation_model"),
        example=_columns("problem", "expected_answer", "generated_solution"),
        published=Published("nvidia/OpenMathReasoning", "cot"),
        size=3_201_061,
        filters=(equals("problem_type", "has_answer_extracted"), equals("generation_model", "DeepSeek-R1")),
        supervised=True,
        verified=True,
    ),
    Source(
        name="XanderGong/VCORE-data",
        columns=("question", "cot"),
        example=_columns("question", trace="cot"),
        published=Published("XanderGong/VCORE-data", "train", files=("math_train_format.json",)),
        size=3_200,
        supervised=True,
    ),
    Source(name="conversations", columns=("messages",), example=_conversation, supervised=True),
)


def _big_math(published: Published, problem: str, answer: str, size: int) -> Source:
    return Source(
        name=published.hub_id,
        columns=(problem, answer, "source", "llama8b_solve_rate"),
        example=_columns(problem, answer, data_source=BIG_MATH.hub_id),
        published=published,
        size=size,
        filters=(Check("kept for testing", lambda row: held_out(row[problem] or "")),),
        rated=True,
    )


def _deepcoder(language: Language) -> Source:
    """Problems of both training configurations; the others are inside evaluation sets."""

    def example(row: Row) -> Example:
        found = deepcoder.problem(row, language)
        candidate = deepcoder.Candidate(row, language)
        source = "code/deepcoder"
        return Example(found.statement, found.prompt, "", data_source=source, candidate=candidate, names=found.names)

    return Source(
        name=f"{deepcoder.HUB_ID}:{language}",
        columns=deepcoder.COLUMNS,
        example=example,
        published=deepcoder.PUBLISHED,
        size=sum(deepcoder.SIZES.values()),
        filters=deepcoder.filters(language),
        domain=CODE,
    )


RL_SOURCES = (
    # Of sources with the same columns, local files are taken to be of the last one.
    _deepcoder("cpp"),
    _deepcoder("python"),
    _big_math(BIG_MATH, "problem", "answer", size=251_122),
    _big_math(BIG_MATH_OPEN, "prompt", "solution", size=215_608),
    Source(
        name=DAPO,
        columns=("data_source", "prompt", "reward_model"),
        example=_verl,
        published=Published(DAPO, "train"),
        size=1_791_700,
    ),
    Source(name="problems", columns=("problem", "answer"), example=_columns("problem", "answer", data_source="math")),
    Source(name="verl's RL rows", columns=("data_source", "prompt", "reward_model"), example=_verl),
)
SOURCES = {"sft": SFT_SOURCES, "rl": RL_SOURCES}


def _generated(role: str, name: str) -> Source:
    """The source for a name `reasoning_gym:...`."""

    def example(row: Row) -> Example:
        question = row["question"]
        return Example(question, generated.prompt(question), row["answer"], row["trace"], data_source=name)

    return Source(name, ("question", "answer", "trace"), example, supervised=role == "sft", verified=role == "sft")


def named(recipe: Recipe) -> dict[str, str]:
    """The sources that the recipe names for "sft" and "rl": hub ids, generated sets, or local files or directories."""
    return {"sft": recipe.data.sft, "rl": recipe.data.rl}


def known(role: str) -> dict[str, Source]:
    """The published sources of "sft" or "rl", by hub id and, where one id has several, what follows a colon."""
    return {source.name: source for source in SOURCES[role] if source.published is not None}


def open_source(role: str, name: str, mirror: Path | None, revision: str | None) -> tuple[Source, Opened]:
    """The source and rows for `name`: a hub id, a generated set, or a local file or directory.

    Raises `DataError` if it cannot be read, or its rows lack columns of the source.
    """
    if generated.is_generated(name):
        return _generated(role, name), generated.opened(role, name)
    source = known(role).get(name)
    if source is not None and source.published is not None:
        opened = open_published(source.published, source.columns, mirror, revision or source.revision)
    else:
        opened = open_files(local_files(Path(name).expanduser()), name, f"data.{role}")
        source = recognise(role, name, set(next(iter(opened.rows), {})))
    if source.completed is not None:
        opened = replace(opened, rows=source.completed(opened.rows, mirror))
    return source, opened


def recognise(role: str, name: str, columns: set[str]) -> Source:
    """The source of "sft" or "rl" whose columns these rows have; a source whose columns are a proper subset of another
    match's is ignored. Raises `DataError` for no match or several.
    """
    forms = {source.columns: source for source in SOURCES[role]}  # DAPO has verl's columns: keep the general source
    fitting = [source for source in forms.values() if columns.issuperset(source.columns)]
    fitting = [item for item in fitting if not any(set(item.columns) < set(other.columns) for other in fitting)]
    if len(fitting) == 1:
        return fitting[0]
    what = "fit several sources" if fitting else "fit no source"
    options = "; ".join(f"{source.name}: {', '.join(source.columns)}" for source in fitting or forms.values())
    raise DataError(f"data.{role}={name}: its columns ({', '.join(sorted(columns)) or 'none'}) {what} ({options})")
