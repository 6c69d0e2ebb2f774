import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vcore_verl.cli import main
from vcore_verl.runs import lock

ROOT = Path(__file__).parents[2]

HOLD = """
import sys
from pathlib import Path
from vcore_verl.runs import lock
from vcore_verl.cli import main
path, kind = Path(sys.argv[1]), sys.argv[2]
if kind == "exclusive":
    with lock.exclusive(path):
        print("held", flush=True); sys.stdin.read()
else:
    with lock.shared(path, lambda: print("waiting", flush=True)) as held:
        held(getattr(lock, kind.upper())); print("held", flush=True); sys.stdin.read()
"""


def hold(path: Path, kind: str) -> subprocess.Popen:
    """A process that takes the lock, says so, and holds it until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), kind],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def says(process: subprocess.Popen) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_an_exclusive_lock_names_its_holder_and_ends_with_it(tmp_path):
    path = tmp_path / "run" / ".lock"
    holder = hold(path, "exclusive")
    assert says(holder) == "held"
    with (
        pytest.raises(lock.Locked, match=rf"another pipeline \(pid {holder.pid}\) is writing {path.parent}"),
        lock.exclusive(path),
    ):
        pass
    holder.kill()
    holder.communicate()
    with lock.exclusive(path):
        pass


def test_readers_share_and_a_writer_waits_for_them(tmp_path):
    path = tmp_path / ".lock"
    reader, other = hold(path, "read"), hold(path, "read")
    assert says(reader) == says(other) == "held"
    writer = hold(path, "write")
    assert says(writer) == "waiting"
    reader.communicate()
    other.communicate()
    assert says(writer) == "held"
    writer.communicate()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_in_one_line(tmp_path, monkeypatch, capfd, number):
    def flock(handle: int, kind: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setenv("VERL_PLATFORM", "cpu")  # which `main` sets
    reason = rf"the file system of {tmp_path} has no locks \({os.strerror(number)}\), .*: set output_dir to .*-o flock"
    with pytest.raises(lock.Unlockable, match=reason), lock.exclusive(tmp_path / ".lock"):
        pass
    with lock.shared(tmp_path / ".lock", lambda: None) as held, pytest.raises(lock.Unlockable, match=reason):
        held(lock.READ)
    assert main(["run", "tiny", "hardware.device=cpu", f"output_dir={tmp_path}"]) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: the file system of") and error.count("\n") == 1


def test_another_failure_of_a_lock_is_not_taken_for_that(tmp_path, monkeypatch):
    def flock(handle: int, kind: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error"), lock.exclusive(tmp_path / ".lock"):
        pass
