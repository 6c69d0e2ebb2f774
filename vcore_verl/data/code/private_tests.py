"""Decodes LiveCodeBench's tests without running anything of theirs.

A column holds JSON, or JSON in a string that is pickled, compressed with zlib and written in base64. The official
loader unpickles it (`lcb_runner/benchmarks/code_generation.py`), which runs whatever the author of the file wants. Even
an unpickler that refuses all classes allocates what the file says: 20 bytes make it fill gigabytes. So nothing is
unpickled: the operations of the pickle are read, and must be those that write one string. Imports no torch.
"""

import base64
import binascii
import io
import json
import pickletools
import zlib
from collections.abc import Iterator
from typing import Any

from reward.code.store import Test
from vcore_verl.data.hub import DataError

MAX_BYTES = 512 * 2**20  # of one problem's tests, decompressed

_STRING = {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_HARMLESS = {"PROTO", "FRAME", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "STOP"}


def decode(column: str, problem: str, max_bytes: int = MAX_BYTES) -> tuple[tuple[Test, ...], bool]:
    """The tests in the column, and whether they call a function.

    Raises `DataError` with the `problem` for everything that is not tests, or more than `max_bytes` of them.
    """
    try:
        tests = _json(column if column.lstrip().startswith("[") else _unpacked(column, max_bytes))
        return tuple(Test(test["input"], test["output"]) for test in tests), _call_a_function(tests)
    except ValueError as error:
        raise DataError(f"LiveCodeBench problem {problem}: its tests are refused, since {error}") from error


def _unpacked(column: str, max_bytes: int) -> str:
    try:
        packed = base64.b64decode(column, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("they are neither JSON nor base64") from error
    decompressor = zlib.decompressobj()
    try:
        pickled = decompressor.decompress(packed, max_bytes)
    except zlib.error as error:
        raise ValueError(f"they cannot be decompressed ({error})") from error
    if decompressor.unconsumed_tail or not decompressor.eof:
        why = f"they inflate to more than {max_bytes:,} bytes" if decompressor.unconsumed_tail else "they are cut off"
        raise ValueError(why)
    return _string(pickled)


def _string(pickled: bytes) -> str:
    """The string of a pickle that holds one, of any protocol, and nothing else."""
    strings = []
    for operation, argument in _operations(pickled):
        if operation in _STRING:
            strings.append(argument)
        elif operation not in _HARMLESS:
            raise ValueError(f"their pickle holds {operation}, and a string needs no such operation")
    if len(strings) != 1:
        raise ValueError(f"their pickle holds {len(strings)} strings instead of one")
    return strings[0]


def _operations(pickled: bytes) -> Iterator[tuple[str, Any]]:
    try:
        yield from ((operation.name, argument) for operation, argument, _ in pickletools.genops(io.BytesIO(pickled)))
    except (ValueError, IndexError) as error:
        raise ValueError("their pickle is broken") from error


def _json(text: str) -> list[dict[str, str]]:
    try:
        tests = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("they are not JSON") from error
    if not isinstance(tests, list) or not all(map(_is_test, tests)):
        raise ValueError("they are not a list of objects with input, output and testtype")
    return tests


def _is_test(test: Any) -> bool:
    keys = ("input", "output", "testtype")
    return isinstance(test, dict) and all(isinstance(test.get(key), str) for key in keys)


def _call_a_function(tests: list[dict[str, str]]) -> bool:
    return any(test["testtype"] == "functional" for test in tests)
