"""Writes the training data of a run from published or local sources: SFT rows, RL rows, and their record.

`data.json` is written last and marks the set as complete; every file is written whole. What was interrupted is made
again from its beginning, with the same outcome. Imports no torch.
"""

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import AutoTokenizer

from reward import compute_score
from vcore_verl.config.recipe import Recipe
from vcore_verl.data.decontaminate import WORDS, EvaluationProblems, chosen, normalised, problems
from vcore_verl.data.funnel import table
from vcore_verl.data.hub import DataError
from vcore_verl.data.published import Opened, mirror_folder
from vcore_verl.data.rendering import render, render_prompt
from vcore_verl.data.rows import rl_row, sft_row, write_rows
from vcore_verl.data.selection import SEED, Check, Selection, select
from vcore_verl.data.sources import Example, Source, known, open_source
from vcore_verl.runs.hashing import file_sha, write_whole
from vcore_verl.runs.layout import Run
from vcore_verl.runs.metrics_file import MetricsFile

PROGRESS_SECONDS = 1.0


def prepare(recipe: Recipe, run: Run) -> None:
    """Write `sft.parquet` and `rl.parquet`, then `data.json`.

    Raises `DataError` for what cannot be had, and where fewer rows are fit than asked for.
    """
    run.data.mkdir(parents=True, exist_ok=True)
    (run.data / "data.json").unlink(missing_ok=True)
    progress = Progress(run.data / "progress.jsonl", expected_rows(recipe))
    mirror = mirror_folder(recipe.data.mirror)
    # Both sources are opened first, so that access errors surface before anything is read.
    opened = {
        "sft": open_source("sft", recipe.data.sft, mirror, recipe.data.sft_revision),
        "rl": open_source("rl", recipe.data.rl, mirror, recipe.data.rl_revision),
    }
    tokenizer = AutoTokenizer.from_pretrained(run.base_hf if run.base_hf.is_dir() else recipe.model.path)
    record: dict[str, Any] = {"rows": {}, "sets": {}, "decontaminated": chosen(recipe)}
    asked: list[str] = []
    for questions in problems(recipe):
        asked += questions
        progress.row()
    checks = Checks(recipe, tokenizer, EvaluationProblems(asked))
    for role, rows_of in (("sft", _sft_rows), ("rl", _rl_rows)):
        source, stream = opened[role]
        selection = _select(recipe, role, source, stream, checks, progress)
        path = run.data / f"{role}.parquet"
        write_rows(path, rows_of(selection))
        record["rows"][role] = len(selection.examples)
        record["sets"][role] = _record(source, stream, selection) | {"sha256": file_sha(path)}
        if role == "sft" and recipe.data.overlong == "truncate":
            record["sets"][role]["truncated"] = sum(map(checks.overlong_trace, selection.examples))
    write_whole(run.data / "data.json", json.dumps(record, indent=2) + "\n")
    progress.end()


def expected_rows(recipe: Recipe) -> int:
    """About how many progress steps there will be, as far as the published sizes of the sources tell."""
    names = {"sft": recipe.data.sft, "rl": recipe.data.rl}
    published = sum(known(role)[name].size for role, name in names.items() if name in known(role))
    return published + recipe.data.num_sft + recipe.data.num_rl + len(chosen(recipe))


class Checks:
    """The expensive checks of a recipe. Problems that were chosen for SFT are not taken again for RL."""

    def __init__(self, recipe: Recipe, tokenizer: Any, evaluation: EvaluationProblems) -> None:
        self.data = recipe.data
        self.tokenizer = tokenizer
        self.evaluation = evaluation
        self.supervised: set[str] = set()

    def sft(self, source: Source) -> list[Check]:
        checks = self._problem_checks()
        if self.data.overlong == "drop":
            checks.append(Check(f"longer than data.cutoff_tokens={self.data.cutoff_tokens}", self.overlong_trace))
        if source.verified:
            checks.append(Check("the last boxed answer is not the expected one", _wrong))
        return checks

    def rl(self, source: Source) -> list[Check]:
        limit = self.data.max_prompt_tokens
        return [
            Check("an SFT problem", lambda example: normalised(example.problem) in self.supervised),
            *self._problem_checks(),
            Check(f"prompt longer than data.max_prompt_tokens={limit}", self._overlong_prompt),
        ]

    def overlong_trace(self, example: Example) -> bool:
        messages = sft_row(example.prompt, example.trace)["messages"]
        return len(render(self.tokenizer, messages).input_ids) > self.data.cutoff_tokens

    def _overlong_prompt(self, example: Example) -> bool:
        text = render_prompt(self.tokenizer, example.prompt)
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"]) > self.data.max_prompt_tokens

    def _problem_checks(self) -> list[Check]:
        seen: set[str] = set()

        def repeats(example: Example) -> bool:
            key = normalised(example.problem)
            repeated = key in seen
            seen.add(key)
            return repeated

        return [
            Check("a problem that came before", repeats),
            Check("a benchmark's problem", lambda example: self.evaluation.contains(example.problem)),
            Check(
                f"{WORDS} words in a row of a benchmark's problem",
                lambda example: self.evaluation.overlaps(example.problem),
            ),
        ]


class Progress:
    """The lines that the launcher's bar and its stall watchdog read."""

    def __init__(self, path: Path, expected: int) -> None:
        self.file = MetricsFile(path, expected)
        self.expected = expected
        self.rows = 0
        self.written = 0.0

    def row(self) -> None:
        self.rows += 1
        if time.monotonic() - self.written >= PROGRESS_SECONDS:
            self._write(max(self.rows, self.expected))

    def end(self) -> None:
        self._write(self.rows)

    def _write(self, total: int) -> None:
        self.file.total = total
        self.file.log({}, self.rows)
        self.written = time.monotonic()


def _select(recipe: Recipe, role: str, source: Source, stream: Opened, checks: Checks, progress: Progress) -> Selection:
    asked = recipe.data.num_sft if role == "sft" else recipe.data.num_rl
    made = checks.sft if role == "sft" else checks.rl
    solve_rate = recipe.data.solve_rate if role == "rl" else None
    selection = select(source, stream, asked, lambda: made(source), solve_rate, progress.row)
    Console(width=120).print(table(role, _record(source, stream, selection)))
    found = len(selection.examples)
    if found < asked:
        lost = max(selection.funnel.steps(), key=lambda step: step["dropped"])
        why = f"most were dropped as: {lost['reason']}" if lost["dropped"] else "none was dropped"
        raise DataError(
            f"data.num_{role}={asked}, and {found} of {selection.funnel.read} rows of {stream.origin} are fit ({why}): "
            f"set data.num_{role}={found} or less"
        )
    if role == "sft":
        checks.supervised = {normalised(example.problem) for example in selection.examples}
    return selection


def _wrong(example: Example) -> bool:
    return compute_score("math", example.trace, example.answer)["acc"] != 1.0


def _sft_rows(selection: Selection) -> list[dict[str, Any]]:
    return [sft_row(example.prompt, example.trace) for example in selection.examples]


def _rl_rows(selection: Selection) -> list[dict[str, Any]]:
    return [
        rl_row(example.data_source, example.prompt, example.answer, "rl", index, f"rl-{index}")
        for index, example in enumerate(selection.examples)
    ]


def _record(source: Source, stream: Opened, selection: Selection) -> dict[str, Any]:
    return {
        "source": stream.origin,
        "form": source.name,
        "revision": stream.revision,
        "seed": SEED,
        "rows_read": selection.funnel.read,
        "funnel": selection.funnel.steps(),
    }
