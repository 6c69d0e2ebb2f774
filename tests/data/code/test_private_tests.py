"""Columns of tests as LiveCodeBench writes them, and hostile ones: nothing of theirs runs, and memory stays bounded."""

import base64
import json
import os
import pickle
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward.code import store
from vcore_verl.data.code.private_tests import decode
from vcore_verl.data.hub import DataError

ROWS = [{"input": "2 3\n", "output": "5\n", "testtype": "stdin"}, {"input": "é", "output": "", "testtype": "stdin"}]
TESTS = (store.Test("2 3\n", "5\n"), store.Test("é", ""))


def packed(pickled: bytes) -> str:
    return base64.b64encode(zlib.compress(pickled)).decode()


def refused(column: str, **limits: int) -> str:
    with pytest.raises(DataError) as error:
        decode(column, "q1", **limits)
    message = str(error.value)
    assert message.startswith("LiveCodeBench problem q1: its tests are refused, since ") and "\n" not in message
    return message.partition(", since ")[2]


def test_plain_json_is_read():
    assert decode(json.dumps(ROWS), "q1") == (TESTS, False)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_string_of_every_protocol_is_read(protocol):
    long = [*ROWS, {"input": "7 " * 50_000, "output": "x", "testtype": "functional"}]
    tests, function = decode(packed(pickle.dumps(json.dumps(long, ensure_ascii=False), protocol)), "q1")
    assert tests == (*TESTS, store.Test("7 " * 50_000, "x")) and function


class Runs:
    """Unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_calls_something_is_refused_and_calls_nothing(protocol, tmp_path):
    made = tmp_path / "made"
    assert "a string needs no such operation" in refused(packed(pickle.dumps(Runs(made), protocol)))
    assert not made.exists()
    pickle.loads(pickle.dumps(Runs(made), protocol))
    assert made.exists()  # the payload is one


@pytest.mark.parametrize(
    ("payload", "operation"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "GLOBAL"),
        (b"(ios\nsystem\n.", "MARK"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "STACK_GLOBAL"),
        (b"\x80\x02U\x04trueQ.", "SHORT_BINSTRING"),  # a persistent id
        (b"Pid\n.", "PERSID"),
        (b"\x82\x01.", "EXT1"),
        (b"\x80\x04]\x94\x8c\x01aa.", "EMPTY_LIST"),
        (b"\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00a.", "BYTEARRAY8"),
        (pickle.dumps(b"bytes"), "SHORT_BINBYTES"),
        (pickle.dumps(7), "BININT1"),
    ],
)
def test_every_operation_but_those_of_a_string_is_refused(payload, operation):
    assert f"their pickle holds {operation}," in refused(packed(payload))


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("", "they are cut off"),
        ("not base64!", "they are neither JSON nor base64"),
        ("abcé", "they are neither JSON nor base64"),
        (base64.b64encode(b"plain").decode(), "they cannot be decompressed"),
        (packed(b"\x80\x04\x8c\xff"), "their pickle is broken"),
        (packed(b"\x8c\x01a\x8c\x01b."), "their pickle holds 2 strings"),
        (packed(b"."), "their pickle holds 0 strings"),
        (packed(pickle.dumps("no JSON")), "they are not JSON"),
        ("[" * 100_000, "they are not JSON"),
        ('[{"input": "1"}]', "they are not a list of objects with input, output and testtype"),
        ('[{"input": 1, "output": "", "testtype": "stdin"}]', "they are not a list of objects"),
        (packed(pickle.dumps('{"input": "1"}')), "they are not a list of objects"),
        (base64.b64encode(zlib.compress(pickle.dumps(json.dumps(ROWS)))[:-8]).decode(), "they are cut off"),
    ],
)
def test_what_is_no_tests_is_refused_in_one_line(column, reason):
    assert refused(column).startswith(reason)


def test_a_bomb_is_refused_before_it_is_inflated():
    bomb = packed(pickle.dumps("[" + " " * 16_000_000 + "]"))
    assert len(bomb) < 24_000
    tracemalloc.start()
    assert refused(bomb, max_bytes=100_000) == "they inflate to more than 100,000 bytes"
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "payload",
    [
        b"\x80\x04\x8c\x01ar\xff\xff\xff\x7f.",  # the memo's entry 2^31 - 1: an unpickler makes room for all below it
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\x00\x00\x00a.",  # a string of 2^40 bytes
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f\x8c\x01a.",  # a frame of 2^63 bytes
        b"p" + b"9" * 4000 + b"\n\x8c\x01a.",
    ],
)
def test_a_pickle_that_states_gigabytes_allocates_none(payload):
    tracemalloc.start()
    refused(packed(payload))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@given(st.binary(max_size=60))
def test_no_bytes_do_anything_but_decode_or_be_refused(payload):
    try:
        decode(packed(payload), "q1")
    except DataError as error:
        assert "\n" not in str(error)
