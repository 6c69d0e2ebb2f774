"""Programs with the verdict of LiveCodeBench's own checker (28fef95) beside ours. The official verdicts are recorded by
tests/benchmarks/livecodebench_agreement.py, which needs a checkout of LiveCodeBench; here ours are checked."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reward.code import store
from reward.code.jail import Jail
from reward.code.reference import Reference
from reward.code.verdict import judge_program

ROWS = [json.loads(line) for line in (Path(__file__).parent / "agreement.jsonl").read_text().splitlines()]


def test_the_corpus_says_why_wherever_it_differs_and_only_there():
    assert len(ROWS) >= 135
    assert len({row["name"] for row in ROWS}) == len(ROWS)
    differing = [row["name"] for row in ROWS if (row["official"] == "pass") != (row["ours"] == "correct")]
    assert differing == [row["name"] for row in ROWS if row["why"]]


def test_our_verdict_on_every_program_is_as_recorded(tmp_path):
    jail = Jail()
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda row: _verdict(row, tmp_path, jail), ROWS))
    jail.close()
    compared = [(row["name"], row["ours"], status) for row, status in zip(ROWS, found, strict=True)]
    assert [row for row in compared if row[1] != row[2]] == []


def _verdict(row, folder, jail):
    tests = [store.Test(*pair) for pair in row["tests"]]
    try:
        sha = store.put(folder, tests)
    except ValueError:
        return "refused"
    reference = Reference(sha, len(tests), row["function"], cpu_seconds=row["limit"])
    return judge_program(row["code"], reference, store.get(folder, sha), jail).status
