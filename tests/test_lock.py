import subprocess
import sys
from pathlib import Path

import pytest

from vcore_verl import lock

ROOT = Path(__file__).parent.parent

HOLD = """
import sys
from pathlib import Path
from vcore_verl import lock
path, kind = Path(sys.argv[1]), sys.argv[2]
if kind == "exclusive":
    with lock.exclusive(path):
        print("held", flush=True); sys.stdin.read()
else:
    with lock.shared(path, lambda: print("waiting", flush=True)) as held:
        getattr(held, kind)(); print("held", flush=True); sys.stdin.read()
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
