import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reward.mathematics.pool import Outcome, WorkerPool

pytestmark = pytest.mark.alone

EASY = {"golds": ["x+1"], "answer": "1+x"}
ENDLESS = {"golds": ["x+1"], "answer": "5^{5^{5^{5^5}}}"}  # one power in C code, deaf to SIGALRM

ROOT = Path(__file__).resolve().parents[3]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc or needs RLIMIT_AS, prctl")


@pytest.fixture
def pool():
    pool = WorkerPool(size=2)
    yield pool
    pool.close()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"  # a zombie is dead


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _wait_until_gone(pids: list[int], limit_s: float) -> None:
    end = time.monotonic() + limit_s
    while any(map(_alive, pids)):
        assert time.monotonic() < end, f"still alive: {[pid for pid in pids if _alive(pid)]}"
        time.sleep(0.05)


def _run_parent(program: str, *, wait: bool = True) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if wait:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    return process


def test_a_worker_past_its_deadline_is_killed_and_replaced(pool):
    pool.warm_up()
    before = set(pool.pids())
    started = time.monotonic()
    assert pool.ask(ENDLESS, deadline_s=1.0) == Outcome("timeout", replaced=1)
    assert 1.0 <= time.monotonic() - started < 2.0
    killed = before - set(pool.pids())
    assert len(killed) == 1
    assert not any(map(_alive, killed))
    assert pool.ask(EASY, deadline_s=5.0) == Outcome("correct", replaced=0)


def test_the_deadline_counts_from_dispatch():
    pool = WorkerPool(size=1)
    with ThreadPoolExecutor(5) as threads:
        hard = [threads.submit(pool.ask, ENDLESS, 1.5) for _ in range(4)]
        time.sleep(0.2)
        started = time.monotonic()
        easy = threads.submit(pool.ask, EASY, 1.5)
        assert easy.result() == Outcome("correct", replaced=0)
        assert time.monotonic() - started > 1.5  # it waited longer than its own deadline
        assert all(future.result().status == "timeout" for future in hard)
    pool.close()


def test_no_more_workers_than_asked_for(pool):
    with ThreadPoolExecutor(16) as threads:
        assert {outcome.status for outcome in threads.map(lambda _: pool.ask(EASY, 5.0), range(64))} == {"correct"}
    assert 1 <= len(pool.pids()) <= 2


@linux_only
@pytest.mark.parametrize("victim", ["worker", "template"])
def test_a_process_killed_while_idle_costs_no_answer(pool, victim):
    pool.warm_up()
    for pid in {pid if victim == "worker" else _parent_of(pid) for pid in pool.pids()}:
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    assert pool.ask(EASY, deadline_s=5.0) == Outcome("correct", replaced=0)
    assert pool.ask(ENDLESS, deadline_s=0.2) == Outcome("timeout", replaced=1)
    assert pool.ask(EASY, deadline_s=5.0) == Outcome("correct", replaced=0)


def test_a_killed_worker_is_replaced_without_importing_sympy_again(pool):
    pool.warm_up()
    started = time.monotonic()
    for _ in range(10):
        assert pool.ask(ENDLESS, deadline_s=0.1).replaced == 1
    assert time.monotonic() - started < 2.5


def test_a_question_whose_worker_is_killed_is_asked_again(pool):
    pool.warm_up()
    idle = set(pool.pids())
    slow = {"golds": [r"\int_0^1 e^{e^{x}}dx"], "answer": r"\int_0^1 e^{e^{e^x}}dx"}
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(pool.ask, slow, 30.0)
        while not (busy := idle - set(pool.pids())):
            time.sleep(0.005)
        os.kill(busy.pop(), signal.SIGKILL)
        assert asked.result() == Outcome("wrong", replaced=1)


@linux_only
def test_memory_is_bounded_and_running_out_of_it_harms_nobody_else():
    pool = WorkerPool(size=1, memory_bytes=400 << 20)
    hungry = {"golds": ["x+1"], "answer": "2^{2^{33}}"}
    assert pool.ask(hungry, deadline_s=3.0).status in ("wrong", "timeout", "parse_error")
    assert pool.ask(EASY, deadline_s=5.0) == Outcome("correct", replaced=0)
    for pid in pool.pids():
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert str(400 << 20) in next(line for line in limits.splitlines() if line.startswith("Max address space"))
    pool.close()


@linux_only
def test_a_worker_that_cannot_start_says_why():
    with pytest.raises(RuntimeError, match=r"cannot start: .*math-verify.*memory limit"):
        WorkerPool(size=1, memory_bytes=60 << 20).ask(EASY, deadline_s=5.0)


def test_a_pool_without_workers_is_an_error():
    with pytest.raises(ValueError, match="size=0"):
        WorkerPool(size=0)


@linux_only
@pytest.mark.parametrize("busy", [False, True])
def test_workers_end_when_their_parent_is_killed(busy):
    parent = _run_parent(
        f"""
import threading, time
from reward.mathematics.pool import WorkerPool
pool = WorkerPool(size=2)
pool.warm_up()
print(*pool.pids(), flush=True)
if {busy}:
    for _ in range(2):
        threading.Thread(target=pool.ask, args=({ENDLESS!r}, 60.0), daemon=True).start()
time.sleep(0.3)
print("ready", flush=True)
time.sleep(60)
""",
        wait=False,
    )
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    pids.append(_parent_of(pids[0]))
    assert parent.stdout.readline() == "ready\n"
    assert all(map(_alive, pids))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    _wait_until_gone(pids, limit_s=3.0)


@linux_only
def test_workers_outlive_the_thread_that_first_needed_them(pool):
    # PR_SET_PDEATHSIG is bound to the thread that starts the child.
    caller = threading.Thread(target=pool.ask, args=(EASY, 5.0))
    caller.start()
    caller.join()
    time.sleep(0.3)
    (pid,) = pool.pids()
    assert _alive(pid)


def test_the_host_keeps_its_signal_handlers():
    _run_parent(
        r"""
import signal, threading
handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
from reward import compute_score
answers = []
thread = threading.Thread(target=lambda: answers.append(compute_score("math", r"\boxed{1+x}", "x+1")["status"]))
thread.start(), thread.join()
assert answers == ["correct"]
assert handlers == {number: signal.getsignal(number) for number in signal.valid_signals()}
"""
    )


def test_a_fork_scores_with_its_own_workers_and_leaves_those_of_its_parent():
    _run_parent(
        r"""
import os
from reward import compute_score
from reward.mathematics import score
def status():
    return compute_score("math", r"\boxed{1+x}", "x+1")["status"]
assert status() == "correct"
theirs = score._process.pool.pids()
child = os.fork()
if child == 0:
    ok = status() == "correct" and not set(score._process.pool.pids()) & set(theirs)
    os._exit(0 if ok else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert status() == "correct" and score._process.pool.pids() == theirs
"""
    )
