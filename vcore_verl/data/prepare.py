"""Writes the training data of a run from published or local sources: SFT rows, RL rows, and their record.

`data.json` is written last and marks the data as complete; every file is written atomically. An interrupted preparation
starts over, with the same result. Imports no torch.
"""

import json
from functools import partial
from typing import Any

from rich.console import Console
from transformers import AutoTokenizer

from reward import DOMAINS, compute_score
from reward.domain import OVERLAP_WORDS
from vcore_verl.config.schema import Data, Recipe
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.code.deepcoder import UNSOLVED
from vcore_verl.data.code.judging import ground_truth, passes
from vcore_verl.data.decontaminate import chosen, problems
from vcore_verl.data.evaluated import Evaluated, EvaluatedProblems
from vcore_verl.data.funnel import Check, Funnel, table
from vcore_verl.data.hub import DataError
from vcore_verl.data.progress import Progress
from vcore_verl.data.published import mirror_folder
from vcore_verl.data.rendering import render, render_prompt
from vcore_verl.data.rows import rl_row, sft_row, write_rows
from vcore_verl.data.selection import SEED, select
from vcore_verl.data.sources import CODE, Example, Source, known, named, open_source
from vcore_verl.runs.hashing import file_sha, write_whole
from vcore_verl.runs.layout import Run


def prepare(recipe: Recipe, run: Run) -> None:
    """Write `sft.parquet` and `rl.parquet`, then `data.json`.

    Raises `DataError` if a source is unavailable, or fewer rows than requested pass the checks.
    """
    data = recipe.data
    run.data.mkdir(parents=True, exist_ok=True)
    (run.data / "data.json").unlink(missing_ok=True)
    progress = Progress(run.data / "progress.jsonl", expected_rows(recipe))
    mirror = mirror_folder(data.mirror)
    # Open both sources first, so that access errors surface early.
    opened = {
        "sft": open_source("sft", data.sft, mirror, data.sft_revision),
        "rl": open_source("rl", data.rl, mirror, data.rl_revision),
    }
    tokenizer = AutoTokenizer.from_pretrained(run.base_hf if run.base_hf.is_dir() else recipe.model.path)
    asked: list[Evaluated] = []
    for problem in problems(recipe, chosen(recipe)):
        asked.append(problem)
        progress.row()
    evaluation = {role: EvaluatedProblems(asked, DOMAINS[source.domain]) for role, (source, _) in opened.items()}
    record: dict[str, Any] = {"rows": {}, "sets": {}, "decontaminated": chosen(recipe)}
    supervised: set[str] = set()  # problems chosen for SFT, excluded from RL
    for role, (source, stream) in opened.items():
        count, solve_rate = (data.num_sft, None) if role == "sft" else (data.num_rl, data.solve_rate)
        checks = partial(row_checks, role, source, recipe, tokenizer, evaluation[role], supervised)
        examples, funnel = select(source, stream, count, checks, solve_rate, progress.row)
        made = {"source": stream.origin, "form": source.name, "revision": stream.revision, "seed": SEED}
        made |= {"rows_read": funnel.read, "funnel": funnel.steps()}
        Console(width=120).print(table(role, made))
        if len(examples) < count:
            raise _too_few(role, count, len(examples), funnel, stream.origin)
        path = run.data / f"{role}.parquet"
        write_rows(path, [_row(run, source, role, example, index) for index, example in enumerate(examples)])
        record["rows"][role] = count
        record["sets"][role] = made | {"sha256": file_sha(path)}
        if role == "sft":
            supervised.update(DOMAINS[source.domain].question_key(example.problem) for example in examples)
            if data.overlong == "truncate":
                record["sets"]["sft"]["truncated"] = sum(_overlong(data, tokenizer, example) for example in examples)
    write_whole(run.data / "data.json", json.dumps(record, indent=2) + "\n")
    progress.end()


def expected_rows(recipe: Recipe) -> int:
    """Approximate number of progress steps, from the published sizes of the sources."""
    asked = sum(BENCHMARKS[name].size for name in chosen(recipe))
    published = sum(known(role)[name].size for role, name in named(recipe).items() if name in known(role))
    return published + recipe.data.num_sft + recipe.data.num_rl + asked


def row_checks(
    role: str, source: Source, recipe: Recipe, tokenizer: Any, evaluation: EvaluatedProblems, supervised: set[str]
) -> list[Check]:
    """The expensive checks for one pass over the examples of "sft" or "rl"; `supervised` are SFT's chosen problems."""
    data, seen = recipe.data, set[str]()
    question_key = DOMAINS[source.domain].question_key

    def repeats(example: Example) -> bool:
        key = question_key(example.problem)
        repeated = key in seen
        seen.add(key)
        return repeated

    def overlong_prompt(example: Example) -> bool:
        text = render_prompt(tokenizer, example.prompt)
        return len(tokenizer(text, add_special_tokens=False)["input_ids"]) > data.max_prompt_tokens

    checks = [
        Check("a problem that came before", repeats),
        Check("a benchmark's problem", lambda example: evaluation.contains(example.problem)),
        Check(
            f"{OVERLAP_WORDS} words in a row of a benchmark's problem",
            lambda example: evaluation.overlaps(example.problem),
        ),
    ]
    if source.domain == CODE:
        same_name = Check(
            "the name of a benchmark's problem", lambda example: evaluation.named(example.problem, example.names)
        )
        checks.append(same_name)
    if role == "rl":
        repeated = Check("an SFT problem", lambda example: question_key(example.problem) in supervised)
        too_long = Check(f"prompt longer than data.max_prompt_tokens={data.max_prompt_tokens}", overlong_prompt)
        checks = [repeated, *checks, too_long]
        return [*checks, _unsolved(recipe)] if source.domain == CODE else checks
    if data.overlong == "drop":
        reason = f"longer than data.cutoff_tokens={data.cutoff_tokens}"
        checks.append(Check(reason, lambda example: _overlong(data, tokenizer, example)))
    if source.verified:
        checks.append(Check("the last boxed answer is not the expected one", _wrong))
    return checks


def _unsolved(recipe: Recipe) -> Check:
    solves = passes(recipe)
    return Check(UNSOLVED, lambda example: example.candidate is not None and not example.candidate.solved(solves))


def _overlong(data: Data, tokenizer: Any, example: Example) -> bool:
    messages = sft_row(example.prompt, example.trace)["messages"]
    return len(render(tokenizer, messages).input_ids) > data.cutoff_tokens


def _wrong(example: Example) -> bool:
    return compute_score("math", example.trace, example.answer)["acc"] != 1.0


def _row(run: Run, source: Source, role: str, example: Example, index: int) -> dict[str, Any]:
    if role == "sft":
        return sft_row(example.prompt, example.trace, source.domain)
    return rl_row(example.data_source, example.prompt, ground_truth(example, run.tests), "rl", index, f"rl-{index}")


def _too_few(role: str, asked: int, found: int, funnel: Funnel, origin: str) -> DataError:
    reason, rows = max(funnel.dropped.items(), key=lambda item: item[1])
    why = f"most were dropped as: {reason}" if rows else "none was dropped"
    return DataError(
        f"data.num_{role}={asked}, and {found} of {funnel.read} rows of {origin} are fit ({why}): "
        f"set data.num_{role}={found} or less"
    )
