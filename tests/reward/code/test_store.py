import hashlib
import json
import threading
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reward.code import store

PAIRS = [("6 7\n", "42\n"), ("ä 漢\n", "\0\r\n")]
TESTS = [store.Test(*pair) for pair in PAIRS]
texts = st.text(st.characters(exclude_categories=["Cs"]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_what_is_put_is_got(tmp_path, pairs):
    tests = [store.Test(*pair) for pair in pairs]
    assert store.get(tmp_path, store.put(tmp_path, tests)) == tuple(tests)


def test_the_name_is_the_hash_of_the_canonical_json(tmp_path):
    content = '[["6 7\\n","42\\n"],["ä 漢\\n","\\u0000\\r\\n"]]'.encode()
    sha = store.put(tmp_path, TESTS)
    assert sha == hashlib.sha256(content).hexdigest()
    assert zlib.decompress((tmp_path / sha[:2] / f"{sha}.json.z").read_bytes()) == content


def test_putting_twice_writes_once_and_leaves_no_other_file(tmp_path):
    sha = store.put(tmp_path, TESTS)
    path = tmp_path / sha[:2] / f"{sha}.json.z"
    before = path.stat()
    assert store.put(tmp_path, TESTS) == sha
    assert path.stat() == before
    assert [entry for entry in tmp_path.rglob("*") if entry.is_file()] == [path]


def test_many_writers_and_readers_at_once(tmp_path):
    found = []

    def work():
        found.append(store.get(tmp_path, store.put(tmp_path, TESTS)))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tuple(TESTS)] * 16


def test_no_tests_are_refused(tmp_path):
    with pytest.raises(ValueError, match="accepts every program"):
        store.put(tmp_path, [])


def test_tests_over_8_megabytes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"2 tests of 8.1 MB, at most 8.0 MB"):
        store.put(tmp_path, [store.Test("x" * 8_100_000, "1"), store.Test("", "")])
    with pytest.raises(ValueError, match=r"at most 8.0 MB"):
        store.put(tmp_path, [store.Test("é" * 4_100_000, "1")])
    assert store.get(tmp_path, store.put(tmp_path, [store.Test("x" * 8_100_000, "1")], max_bytes=9_000_000))


def test_text_that_is_not_unicode_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"Unicode text, but hold '\\ud800'"):
        store.put(tmp_path, [store.Test("\ud800", "")])


def test_missing_tests_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"0{64}\.json\.z is missing: prepare the data again"):
        store.get(tmp_path, "0" * 64)


@pytest.mark.parametrize("content", [b"", b"not zlib", zlib.compress(json.dumps(PAIRS[:1]).encode())])
def test_a_damaged_file_is_refused(tmp_path, content):
    sha = store.put(tmp_path, TESTS)
    (tmp_path / sha[:2] / f"{sha}.json.z").write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        store.get(tmp_path, sha)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 65])
def test_only_a_hash_names_tests(tmp_path, name):
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        store.get(tmp_path, name)


def test_large_tests_are_not_kept_in_memory(tmp_path, monkeypatch):
    sha = store.put(tmp_path, TESTS)
    assert store.get(tmp_path, sha) is store.get(tmp_path, sha)
    monkeypatch.setattr(store, "_CACHED_BYTES", 10)
    assert store.get(tmp_path, sha) == tuple(TESTS) and store.get(tmp_path, sha) is not store.get(tmp_path, sha)
