"""The verdicts of `reward.code` beside those of LiveCodeBench's own checker, on the same programs in one run.

    python tests/benchmarks/livecodebench_agreement.py --checker LIVECODEBENCH [--record]
    python tests/benchmarks/livecodebench_agreement.py --checker LIVECODEBENCH --samples samples.parquet --tests FOLDER

LIVECODEBENCH is a checkout of github.com/LiveCodeBench/LiveCodeBench; of it, only three files are imported. Without
`--samples` the programs are those of tests/reward/code/agreement.jsonl; `--record` writes the checker's verdicts into
that file. With it they are the responses of an evaluation, FOLDER being the tests that were prepared for it.

The official checker runs programs unguarded, in processes of this user: use a container for programs that you did not
write.
"""

import argparse
import importlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from reward.code.blocks import program_block  # noqa: E402
from reward.code.jail import Jail  # noqa: E402
from reward.code.reference import Reference  # noqa: E402
from reward.code.store import Test, get  # noqa: E402
from reward.code.verdict import judge_program  # noqa: E402

CORPUS = ROOT / "tests/reward/code/agreement.jsonl"


class Case(NamedTuple):
    """A program for both checkers. `official_code` is what the official extraction takes from the same response."""

    name: str
    code: str | None
    official_code: str
    reference: Reference
    tests: tuple[Test, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checker", type=Path, required=True, help="checkout of LiveCodeBench")
    parser.add_argument("--samples", type=Path, help="samples.parquet of an evaluation, instead of the corpus")
    parser.add_argument("--tests", type=Path, help="folder of the tests that its rows name")
    parser.add_argument("--record", action="store_true", help="write the official verdicts into the corpus")
    options = parser.parse_args()
    if options.samples and not options.tests:
        parser.error("--samples needs --tests, the folder of the tests that its rows name")
    if options.samples and options.record:
        parser.error("--record is for the corpus, without --samples")
    check = load_checker(options.checker)
    cases = list(_responses(options.samples, options.tests) if options.samples else _corpus())
    console = Console()
    official = [official_verdict(check, case) for case in track(cases, "official checker", console=console)]
    jail = Jail()
    with ThreadPoolExecutor(4) as threads:
        verdicts = threads.map(lambda case: _own_verdict(case, jail), cases)
        ours = list(track(verdicts, "reward.code", total=len(cases), console=console))
    jail.close()
    _show(console, cases, official, ours)
    if options.record:
        _record(official)


def load_checker(snapshot: Path) -> Callable[[tuple], tuple[list, list]]:
    """The official `evaluate_generations_by_problem`. Its packages' __init__ files, which import far more, are not run;
    tqdm's bar, which it names but does not need for one problem, is replaced by nothing."""
    folder = snapshot / "lcb_runner"
    if not (folder / "evaluation/testing_util.py").is_file():
        sys.exit(f"{snapshot} is no checkout of LiveCodeBench: lcb_runner/evaluation/testing_util.py is missing")
    for name, path in (("lcb_runner", folder), ("lcb_runner.evaluation", folder / "evaluation")):
        package = ModuleType(name)
        package.__path__ = [str(path)]
        sys.modules[name] = package
    bar = ModuleType("tqdm")
    bar.tqdm = iter
    sys.modules["tqdm"] = bar
    return importlib.import_module(
        "lcb_runner.evaluation.compute_code_generation_metrics"
    ).evaluate_generations_by_problem


def official_verdict(check: Callable[[tuple], tuple[list, list]], case: Case) -> str:
    """`pass`: all results are above 0, as in the official pass@1; `fail`; `crash`: the checker itself failed."""
    sample = {
        "inputs": [test.input for test in case.tests],
        "outputs": [test.output for test in case.tests],
        "fn_name": case.reference.function,
    }
    # The official limit is a whole number of seconds.
    arguments = ([case.official_code], {"input_output": json.dumps(sample)}, False, round(case.reference.cpu_seconds))
    try:
        results, _ = check(arguments)
    except AssertionError:
        return "crash"
    return "pass" if all(result > 0 for result in results[0]) else "fail"


def _own_verdict(case: Case, jail: Jail) -> str:
    if not case.tests:
        return "refused"
    if case.code is None:
        return "no_answer"
    return judge_program(case.code, case.reference, case.tests, jail).status


def _corpus() -> Iterator[Case]:
    for row in map(json.loads, CORPUS.read_text().splitlines()):
        tests = tuple(Test(*pair) for pair in row["tests"])
        reference = Reference("0" * 64, len(tests) or 1, row["function"], cpu_seconds=row["limit"])
        yield Case(row["name"], row["code"], row["code"], reference, tests)


def _responses(samples: Path, folder: Path) -> Iterator[Case]:
    for row in pq.read_table(samples, columns=["prompt_id", "response", "gold"]).to_pylist():
        reference = Reference.loads(row["gold"])
        if reference.language != "python":
            sys.exit(f"{samples} has programs in {reference.language}: the official checker runs Python only")
        block = program_block(row["response"], "python")
        code = None if block is None else block.source
        official_code = _official_block(row["response"])
        yield Case(row["prompt_id"], code, official_code, reference, get(folder, reference.tests))


def _official_block(response: str) -> str:
    """The lines between the last two that hold three backquotes (extraction_utils.py at 28fef95)."""
    lines = response.split("\n")
    fences = [index for index, line in enumerate(lines) if "```" in line]
    return "\n".join(lines[fences[-2] + 1 : fences[-1]]) if len(fences) >= 2 else ""


def _show(console: Console, cases: list[Case], official: list[str], ours: list[str]) -> None:
    counts = Counter(zip(ours, official, strict=True))
    columns = sorted(set(official))
    table = Table("ours", *(f"official {column}" for column in columns))
    for status in sorted(set(ours)):
        table.add_row(status, *(str(counts[status, column]) for column in columns))
    console.print(table)
    decided = list(zip(cases, official, ours, strict=True))
    differences = [(case, theirs, own) for case, theirs, own in decided if (theirs == "pass") != (own == "correct")]
    console.print(f"{len(differences)} of {len(cases)} verdicts differ")
    for case, theirs, own in differences:
        console.print(f"  {case.name}: official {theirs}, ours {own}", markup=False, highlight=False)


def _record(official: list[str]) -> None:
    rows = [json.loads(line) for line in CORPUS.read_text().splitlines()]
    for row, verdict in zip(rows, official, strict=True):
        row["official"] = verdict
    CORPUS.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


if __name__ == "__main__":
    main()
