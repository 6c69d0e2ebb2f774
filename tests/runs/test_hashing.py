import json
import os
import subprocess
import sys

import pytest

from vcore_verl.config.composition import ROOT
from vcore_verl.runs.hashing import Digests, replacement

WRITER = """
import json, sys
from pathlib import Path
from vcore_verl.runs.hashing import write_whole
for number in range(300):
    write_whole(Path(sys.argv[1]), json.dumps([sys.argv[2]] * (1 + 97 * number)))
"""


def test_content_decides_and_not_the_time_of_writing(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    digests = Digests(tmp_path / "cache.json")
    first = digests.of(path)
    assert first == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    os.utime(path, (1, 1))
    assert digests.of(path) == first
    path.write_text("two")
    assert digests.of(path) != first


def test_a_directory_is_its_files_names_and_content(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file").write_text("same")
    digests = Digests(tmp_path / "cache.json")
    assert digests.of(tmp_path / "a") == digests.of(tmp_path / "b")
    (tmp_path / "b" / "deep" / "file").rename(tmp_path / "b" / "other")
    assert digests.of(tmp_path / "a") != digests.of(tmp_path / "b")


def test_a_pattern_is_all_that_it_matches_and_what_is_missing_has_no_digest(tmp_path):
    digests = Digests(tmp_path / "cache.json")
    assert digests.of(tmp_path / "*.parquet") is None
    assert digests.of(tmp_path / "nothing") is None
    (tmp_path / "a.parquet").touch()
    one = digests.of(tmp_path / "*.parquet")
    (tmp_path / "b.parquet").touch()
    assert None is not one != digests.of(tmp_path / "*.parquet")


def test_a_remembered_file_is_not_read_again(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    digests = Digests(tmp_path / "cache.json")
    first = digests.of(path)
    digests.save()
    state = path.stat()
    path.write_text("two")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert Digests(tmp_path / "cache.json").of(path) == first


def test_files_under_way_are_not_content(tmp_path):
    digests = Digests(tmp_path / "cache.json")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("one")
    before = digests.of(folder)
    with replacement(folder / "card") as partial:
        partial.write_text("half of a ca")
        assert digests.of(folder) == before


def test_writers_of_one_file_do_not_disturb_each_other_or_a_reader(tmp_path):
    path = tmp_path / ".digests.json"
    path.write_text("[]")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], cwd=ROOT, stderr=subprocess.PIPE)
        for name in ("a", "b", "c")
    ]
    while any(writer.poll() is None for writer in writers):
        assert len(set(json.loads(path.read_text()))) <= 1
    assert [writer.communicate()[1].decode() for writer in writers] == [""] * 3
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert os.listdir(tmp_path) == [path.name]


def test_a_file_that_could_not_be_written_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"), replacement(path) as partial:
        partial.write_text("new")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]
