"""From a response to a verdict: find the program, run it on the tests in the jail, compare what it answers out here.

The expected answers never enter the jail. Rule and prelude are LiveCodeBench's, but each test has its own process with
a real stdin; every program whose verdict differs from the official one is a row of tests/reward/code/agreement.jsonl.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from reward.code.blocks import MAX_PROGRAM_BYTES, program_block
from reward.code.compare import COMPARISONS, TYPED, value
from reward.code.cpp import CompileError, compile_cpp
from reward.code.cpp_function import STDOUT, arguments, with_main
from reward.code.fusion import CppSource, Fusion
from reward.code.jail import Jail, Limits, PythonProgram, Run
from reward.code.reference import Reference
from reward.code.store import Test, get

Status = Literal["correct", "wrong", "no_answer", "parse_error", "timeout", "runtime_error"]

# compile() alone, of a program that the check reads from stdin.
_SYNTAX_CHECK = "compile(sys.stdin.buffer.read().decode(), 'program.py', 'exec', dont_inherit=True)\n"
_MAX_SHOWN_CHARS = 60


@dataclass(frozen=True)
class Verdict:
    """A verdict and its cost, summed over the tests that ran.

    extracted: the program, "" if there is none; UTF-8 text without NULs, as files and Arrow hold it.
    message: why the program failed, for readers; "" if it is correct. It may quote the expected answer.
    waited_seconds: for a slot of the jail. retries: runs repeated since the machine, not the program, was at fault.
    """

    status: Status
    extracted: str = ""
    tests_run: int = 0
    tests_passed: int = 0
    cpu_seconds: float = 0.0
    waited_seconds: float = 0.0
    message: str = ""
    retries: int = 0


def judge(
    response: str, ground_truth: str, tests_folder: Path, jail: Jail | Fusion, max_tests: int | None = None
) -> Verdict:
    """The verdict on the program in `response`.

    Args:
        ground_truth: a `Reference`, as JSON.
        tests_folder: where `reward.code.store` put the tests that it names.
        max_tests: see `judge_program`.

    Raises:
        ValueError: the ground truth is no reference, or its tests are damaged.
        FileNotFoundError: the folder does not hold its tests.
        JailError: the jail or the service failed; that is never a verdict.
        CompilerMissing: a C++ program, and no g++.
    """
    reference = Reference.loads(ground_truth)
    tests = get(tests_folder, reference.tests) if reference.judged else ()
    block = program_block(response, reference.language)
    if block is None:
        return Verdict("no_answer", message="no closed code block after the thinking")
    if not tests:
        return Verdict("wrong", _text(block.source), message="no tests that run here: every program fails")
    return judge_program(block.source, reference, tests, jail, max_tests)


def judge_program(
    source: str, reference: Reference, tests: Sequence[Test], jail: Jail | Fusion, max_tests: int | None = None
) -> Verdict:
    """The verdict on one program: correct if it passes every test; the first failure ends it.

    With `max_tests`, as in RL: only so many tests, those of the longest inputs, the shortest of them first. Without:
    all, in their order. Raises what `judge` does of the jail.
    """
    program_bytes = _bytes(source)
    extracted = _text(source)
    if len(program_bytes) > MAX_PROGRAM_BYTES:
        return Verdict("parse_error", extracted, message=f"longer than {MAX_PROGRAM_BYTES // 1024} KB")
    limits = Limits(cpu_seconds=reference.cpu_seconds, memory_mb=reference.memory_mb)
    runs: list[Run] = []
    passed = 0
    status: Status = "correct"
    message = ""
    try:
        run = _runner(program_bytes.decode(), reference, jail)
        for test in _chosen(tests, max_tests):
            runs.append(run(test.input.encode(), limits))
            status, message = _outcome(runs[-1], test, reference)
            if status != "correct":
                break
            passed += 1
    except CompileError as error:
        status, message = "parse_error", str(error)
    tests_run = len(runs)
    if status == "runtime_error" and passed == 0 and reference.language == "python":
        # It may never have started. Only the compiler knows: a program can raise SyntaxError too.
        runs.append(jail.run(PythonProgram(_SYNTAX_CHECK, prelude=True), program_bytes, limits))
        if runs[-1].ending != "finished":
            status, message, tests_run = "parse_error", runs[-1].message, 0
    return Verdict(
        status,
        extracted,
        tests_run,
        passed,
        sum(run.cpu_seconds for run in runs),
        sum(run.waited_seconds for run in runs),
        message,
        sum(run.retries for run in runs),
    )


def _bytes(source: str) -> bytes:
    """A lone surrogate is valid in a str, but in no source file."""
    return source.encode("utf-8", "replace")


def _text(source: str) -> str:
    return _bytes(source).decode().replace("\0", " ")


def _runner(source: str, reference: Reference, jail: Jail | Fusion) -> Callable[[bytes, Limits], Run]:
    """Runs the program on one input. Raises CompileError for C++ that the jail's compiler refuses."""
    if reference.language == "python":
        program = PythonProgram(source, reference.function, typed=reference.compare in TYPED, prelude=True)
        return partial(jail.run, program)
    if reference.function is not None:
        return _cpp_function(source, reference.function, jail)
    if isinstance(jail, Fusion):
        return partial(jail.run, CppSource(source))
    return partial(jail.run, compile_cpp(source, jail))


def _cpp_function(source: str, function: str, jail: Jail | Fusion) -> Callable[[bytes, Limits], Run]:
    if isinstance(jail, Fusion):
        run = partial(jail.run, CppSource(with_main(source, function, STDOUT), answers=True))
    else:
        run = partial(jail.run, replace(compile_cpp(with_main(source, function), jail), answers=True))
    return lambda lines, limits: run(arguments(lines), limits)


def _chosen(tests: Sequence[Test], max_tests: int | None) -> Sequence[Test]:
    if max_tests is None:
        return tests
    longest = sorted(tests, key=lambda test: len(test.input), reverse=True)[:max_tests]
    return sorted(longest, key=lambda test: len(test.input))


def _outcome(run: Run, test: Test, reference: Reference) -> tuple[Status, str]:
    """The status that one test gives, and why if it fails."""
    if run.ending == "failed":
        return "runtime_error", run.message
    if run.ending != "finished":
        return "timeout", f"over the limit: {run.ending}"
    if reference.function is not None:
        same = TYPED.get(reference.compare, value)
        passed = run.value is not None and same(run.value, test.output)
        shown = _shown(run.value) if run.value is not None else "no value"
        return ("correct", "") if passed else ("wrong", f"returned {shown} instead of {_shown(test.output.encode())}")
    if COMPARISONS[reference.compare](run.stdout, test.output):
        return "correct", ""
    return "wrong", f"printed {_shown(run.stdout)} instead of {_shown(test.output.encode())}"


def _shown(text: bytes) -> str:
    """One printable line of at most 60 characters."""
    shown = ascii(text[: _MAX_SHOWN_CHARS + 1].decode("utf-8", "replace"))
    return shown if len(shown) <= _MAX_SHOWN_CHARS else f"{shown[: _MAX_SHOWN_CHARS - 3]}..."
