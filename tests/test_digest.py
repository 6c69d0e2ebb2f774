import os

from vcore_verl.digest import Digests


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
