import contextlib
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward.code.inside import values
from reward.code.inside.prelude import with_prelude
from reward.code.jail import Jail, JailError, JailUnavailable, Limits, PythonProgram
from reward.code.slots import default_count
from tests.reward.code.attacks import LIMITS, REFUSED, attempts
from tests.reward.code.hosts import ROOT, RemoteJail

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail needs Linux")

LIMITS_5S = Limits(cpu_seconds=5.0)
BRIEF = Limits(cpu_seconds=0.3, memory_mb=256, output_bytes=1 << 20)


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def jail(request):
    jail = Jail(request.param)
    assert jail.tier == request.param
    yield jail
    jail.close()


def _python(jail, source, stdin=b"", function=None):
    return jail.run(PythonProgram(source, function), stdin, LIMITS_5S)


SEES = """
import sys
names = sorted(name for name in globals() if not name.startswith("__"))
print(__name__, len(names), hash(tuple(names)), sys.getrecursionlimit(), datetime.datetime, pow(2, 3, 5), quit)
"""
SEEN = """
import sys
def seen(*_):
    return [__name__, sys.getrecursionlimit(), "deque" in globals()]
"""


def test_a_program_with_the_prelude_sees_what_it_would_if_the_prelude_were_its_first_lines(jail):
    ours, written = (PythonProgram(SEES, prelude=True), PythonProgram(with_prelude(SEES)))
    runs = [jail.run(program, b"", LIMITS_5S) for program in (ours, written)]
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stdout.split()[0] == b"__main__" and b" 50000 " in runs[0].stdout
    called = jail.run(PythonProgram(SEEN, "seen", prelude=True), b"1", LIMITS_5S)
    assert called.value == b'["solution", 50000, true]'


@pytest.mark.parametrize(
    "source",
    [
        "file = open(1, 'w'); file.write('7')",
        "stdout = open(1, 'w'); stdout.write('7')",  # a name of the prelude, from sys
        "def f():\n    global stdout\n    stdout = open(1, 'w')\n    stdout.write('7')\nf()",
        "globals()['stdout'] = open(1, 'w'); stdout.write('7')",
        "exec('stdout = open(1, \"w\")'); stdout.write('7')",
        "del stdout; stdout = open(1, 'w'); stdout.write('7')",
        "class End:\n    def __del__(self):\n        print(7, end='')\nend = End()",
    ],
)
@pytest.mark.parametrize("prelude", [False, True])
def test_what_a_program_leaves_open_is_written_at_its_end(jail, source, prelude):
    source = source if prelude else f"from sys import *\n{source}"
    run = jail.run(PythonProgram(source, prelude=prelude), b"", LIMITS_5S)
    assert (run.ending, run.stdout) == ("finished", b"7"), run


def test_a_program_without_the_prelude_sees_none_of_it_even_after_one_with_it(jail):
    assert jail.run(PythonProgram("deque = 5", prelude=True), b"", LIMITS_5S).ending == "finished"
    assert jail.run(PythonProgram("print(deque)", prelude=True), b"", LIMITS_5S).stdout.startswith(b"<class")
    assert jail.run(PythonProgram(SEEN, "seen"), b"1", LIMITS_5S).value == b'["solution", 1000, false]'


# How a program ends, as a process of its own would.


@pytest.mark.parametrize(
    ("source", "ending", "stdout"),
    [
        ("print(7)", "finished", "7\n"),
        ("print(7, end='')", "finished", "7"),
        ("import sys; print(7); sys.exit(0)", "finished", "7\n"),
        ("import sys; print(7); sys.exit(1)", "finished", "7\n"),
        ("print(7); raise SystemExit('bye')", "finished", "7\n"),
        ("import os; print(7, flush=True); os._exit(0)", "finished", "7\n"),
        ("import os; print(7); os._exit(0)", "finished", ""),  # not flushed, as in any process
        ("import os; print(7, flush=True); os._exit(1)", "failed", "7\n"),
        ("print(7); raise ValueError", "failed", "7\n"),
        ("print(7); assert False", "failed", "7\n"),
        ("print(7); 1 +", "failed", ""),
        ("print(7); raise KeyboardInterrupt", "failed", "7\n"),
        ("if __name__ == '__main__': print(7)", "finished", "7\n"),
        ("import threading; threading.Thread(target=print, args=(7,)).start()", "finished", "7\n"),
        ("import atexit; atexit.register(print, 7)", "finished", "7\n"),
        ("out = open(1, 'w'); out.write('7')", "finished", "7"),
        ("import io, sys; sys.stdout = io.TextIOWrapper(open(1, 'wb')); print(7)", "finished", "7\n"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\0')", "finished", "\xff\0"),
        ("import os; os.write(1, b'7')", "finished", "7"),
        ("import sys; sys.stdout.close()", "finished", ""),
        ("import sys; print(7, file=sys.stderr)", "finished", ""),
        ("import asyncio\nasync def f(): return 7\nprint(asyncio.run(f()))", "finished", "7\n"),
        ("import numpy; print(numpy.arange(4).sum())", "finished", "6\n"),
        ("import sympy, sortedcontainers; print(sympy.Integer(6) + 1)", "finished", "7\n"),
        ("import sys; print(__name__, sys.argv)", "finished", "__main__ ['solution.py']\n"),
        ("import torch", "failed", ""),
        (
            "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 28)\n"
            "def f(n): return n and 1 + f(n - 1)\nthreading.Thread(target=lambda: print(f(100000))).start()",
            "finished",
            "100000\n",
        ),
    ],
)
def test_a_program_ends_as_its_own_process_would(jail, source, ending, stdout):
    run = _python(jail, source)
    assert (run.ending, run.stdout.decode("latin-1")) == (ending, stdout), run


@pytest.mark.parametrize(
    "source",
    [
        "print(input(), input())",
        "import sys; print(*sys.stdin.read().split('\\n')[:2])",
        "import sys; print(*map(str.strip, sys.stdin))",
        "import sys; print(*map(str.strip, sys.stdin.readlines()))",
        "import sys; print(sys.stdin.buffer.readline().decode().strip(), sys.stdin.buffer.read().decode().strip())",
        "print(*open(0).read().split('\\n')[:2])",
        "import os; print(*os.read(0, 100).decode().split('\\n')[:2])",
        "import sys\ninput = sys.stdin.readline\nprint(input().strip(), input().strip())",
        "from sys import stdin; print(*stdin.read().split('\\n')[:2])",
        "import fileinput; print(*[line.strip() for line in fileinput.input()])",
        "a = []\ntry:\n  while True: a.append(input())\nexcept EOFError: print(*a)",
        "import mmap; print(*mmap.mmap(0, 0, prot=mmap.PROT_READ)[:].decode().split('\\n')[:2])",
    ],
)
def test_every_way_to_read_stdin(jail, source):
    assert _python(jail, source, "1 é\n2 3\n".encode()).stdout.decode() == "1 é 2 3\n"


def test_the_message_is_the_last_line_of_stderr(jail):
    assert _python(jail, "1 / 0").message == "ZeroDivisionError: division by zero"
    assert _python(jail, "def f(:").message == "SyntaxError: invalid syntax"
    assert _python(jail, "raise ValueError('a\\n' + 'b\\x1b' + 'c' * 300)").message == "b " + "c" * 198
    assert _python(jail, "import ctypes; ctypes.string_at(0)").message == "killed by SIGSEGV"


def test_cpu_time_is_counted_for_each_run_alone(jail):
    busy = "import time\nwhile time.process_time() < 0.4: pass\nprint(7)"
    runs = [jail.run(PythonProgram(busy), b"", Limits(cpu_seconds=0.8)) for _ in range(2)]
    assert [run.ending for run in runs] == ["finished", "finished"]
    assert all(0.4 <= run.cpu_seconds < 0.8 and run.wall_seconds >= 0.4 for run in runs)


def test_programs_leave_nothing_to_the_next(jail):
    _python(
        jail, "import sys, builtins, json\nsys.modules['left'] = builtins.left = json.left = 7\nsys.path.append('x')"
    )
    program = "import sys, json\nprint('left' in sys.modules, hasattr(json, 'left'), 'left' in dir(__builtins__))"
    assert _python(jail, program).stdout == b"False False False\n"


def test_random_numbers_differ_between_runs_and_the_order_of_sets_does_not(jail):
    assert len({_python(jail, "import random; print(random.random())").stdout for _ in range(3)}) == 3
    other = Jail(jail.tier)
    program = "print(list({str(i) for i in range(100)}))"
    assert _python(jail, program).stdout == _python(other, program).stdout
    other.close()


# Returned values.

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.sets(st.integers() | st.tuples(st.text()))
        | st.tuples(inner, inner)
        | st.dictionaries(st.integers() | st.text() | st.booleans(), inner)
    ),
    max_leaves=20,
)


def _exact(value):
    """The value with its types: True == 1 == 1.0 otherwise."""
    match value:
        case list() | tuple():
            return type(value), [_exact(item) for item in value]
        case set():
            return sorted(map(repr, value))
        case dict():
            return [(_exact(key), _exact(item)) for key, item in value.items()]
    return type(value), repr(value)


@given(VALUES)
def test_encoded_values_keep_their_types(value):
    assert _exact(values.decode(values.encode(value, {}, typed=True).encode())) == _exact(value)


NO_VALUES = [b"", b"1 2", b"1]", b'{"tuple": 1}', b'{"set": [[]]}', b'{"list": []}', b'{"a": 1, "b": 2}', b"[" * 10**5]


@pytest.mark.parametrize("text", NO_VALUES)
def test_what_is_no_encoded_value_is_an_error(text):
    with pytest.raises(ValueError, match=r"."):
        values.decode(text)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("return a + b", 3),
        ("return [a, (b, 1.5)], None", ([1, (2, 1.5)], None)),
        ("return {a: 'é', 'x': True}", {1: "é", "x": True}),
        ("print('noise'); return 10**30", 10**30),
        ("import numpy; return numpy.int64(3)", 3),
        ("import numpy; return [numpy.float64(0.5), numpy.bool_(True)]", [0.5, True]),
        ("import json; json.dumps = json.loads = None; return 3", 3),
        ("import builtins; builtins.type = builtins.repr = builtins.len = None; return [3]", [3]),
        ("a += 1; return a", 2),
    ],
)
def test_a_function_is_called_and_its_value_returned(jail, body, value):
    method = f"class Solution:\n    def f(self, a, b): {body}"
    for source in (method, f"def f(a, b): {body}\nif __name__ == '__main__': 1 / 0"):
        run = _python(jail, source, b"1\n2", "f")
        assert run.ending == "finished", run
        assert _exact(values.decode(run.value)) == _exact(value)


@pytest.mark.parametrize(
    "body",
    [
        "return {1}",
        "return (x for x in [1])",
        "import numpy; return numpy.arange(3)",
        "return type('I', (int,), {'__eq__': lambda *_: True, '__repr__': lambda _: '3'})(1)",
        "return type('S', (str,), {})('a')",
        "return [type('L', (list,), {'__iter__': lambda _: iter([3])})()]",
        "return type('Any', (), {'__eq__': lambda *_: True})()",
        "return 1j",
        "l = []; l.append(l); return l",
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "import os; os.write(3, b'3\\n'); return 3",
        "import os; os.write(3, b'3\\n3\\n'); os._exit(0)",
        "import os; os.write(3, b'3'); os._exit(0)",
        "import os; os.close(3); return 3",
        "raise ValueError",
        "return input()",
        "return g",
    ],
)
def test_anything_but_one_value_of_json_is_none(jail, body):
    assert _python(jail, f"def f(): {body}", b"", "f").value is None


@pytest.mark.parametrize(
    ("given", "body", "value"),
    [
        ('{"tuple": [1, {"set": [2]}]}', "return type(a) is tuple and type(a[1]) is set", b"true"),
        ('{"dict": [[{"tuple": [1]}, 2]]}', "return a[(1,)]", b"2"),
        ('{"set": [10, 9]}', "return a | {'a', 2.5, None}", b'{"set": ["a", 10, 2.5, 9, null]}'),
        ('"aab"', "return Counter(a)", b'{"dict": [["a", 2], ["b", 1]]}'),
        ('"a"', "d = defaultdict(int); d[a] += 1; return d, OrderedDict(d)",
         b'{"tuple": [{"dict": [["a", 1]]}, {"dict": [["a", 1]]}]}'),
        ("1", "return frozenset([a])", None),
        ("1", "return type('S', (set,), {'__iter__': lambda _: iter([7])})([a])", None),
        ("1", "return type('C', (Counter,), {'items': lambda _: [(7, 7)]})([a])", None),
        ("1", "return {type('I', (int,), {'__repr__': lambda _: '7'})(a)}", None),
        ("1", "import builtins; builtins.sorted = lambda _: ['7']; return {a}", b'{"set": [1]}'),
        ("1", "c = Counter([a]); Counter.items = Counter.__iter__ = None; return c", b'{"dict": [[1, 1]]}'),
    ],
)  # fmt: skip
def test_a_typed_function_takes_and_returns_pythons_own_types(jail, given, body, value):
    source = f"from collections import *\ndef f(a): {body}"
    assert jail.run(PythonProgram(source, "f", typed=True), given.encode(), LIMITS_5S).value == value


def test_a_missing_function_fails(jail):
    assert _python(jail, "def g(): pass", b"", "f").message == "KeyError: 'f'"
    assert "AttributeError" in _python(jail, "class Solution: pass", b"", "f").message


# Faults.


def _descendants(ancestor: int | None = None) -> set[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found = {ancestor or os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {ancestor or os.getpid()}


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_fork_server_that_fails_is_replaced_and_the_run_repeated(jail, fault):
    before = _descendants()
    with contextlib.closing(Jail(jail.tier)) as jail, ThreadPoolExecutor(1) as pool:
        program = PythonProgram("import time; time.sleep(0.5); print(7)")
        waiting = pool.submit(jail.run, program, b"", Limits(cpu_seconds=0.3))
        _until(lambda: jail._idle == [])
        time.sleep(0.2)
        (server,) = jail._servers
        below = _descendants(server.pid)
        for pid in {server.pid} if fault == signal.SIGKILL else {server.pid, *below} - {max(below)}:  # not the program
            os.kill(pid, fault)
        assert waiting.result().stdout == b"7\n"
        assert waiting.result().retries == 1
    _until(lambda: _descendants() <= before)


def test_a_program_killed_from_outside_runs_again(jail):
    before = _descendants()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_python, jail, "import time; time.sleep(1); print(7)")
        _until(lambda: _descendants() - before)
        os.kill(max(_descendants() - before), signal.SIGKILL)
        run = waiting.result()
    assert (run.stdout, run.ending, run.retries) == (b"7\n", "finished", 1)


@pytest.mark.parametrize(("starved", "retries"), [(0.0, 0), (float("inf"), 2)])
def test_a_program_that_got_no_core_runs_three_times_at_most(jail, monkeypatch, starved, retries):
    # inf: a kernel without these statistics
    monkeypatch.setattr("reward.code.server._starved_seconds", lambda pid: starved)
    run = jail.run(PythonProgram("import time; time.sleep(9)"), b"", Limits(cpu_seconds=0.05))
    assert (run.ending, run.retries) == ("wall", retries)


def test_a_jail_whose_servers_always_die_is_an_error_and_no_verdict(jail, monkeypatch):
    broken = Jail(jail.tier)
    for server in broken._servers:
        server._process.kill()
    monkeypatch.setattr("reward.code.server.launcher", lambda module: ["/bin/false"])
    with pytest.raises(JailError, match="failed 3 times"):
        _python(broken, "print(7)")
    broken.close()


@pytest.mark.parametrize("tier", ["namespaces", "landlock"])
def test_nothing_outlives_a_killed_host(tier):
    program = f"""
import sys
from reward.code.jail import *
jail = Jail({tier!r})
print(*[server.pid for server in jail._servers], flush=True)
jail.run(PythonProgram("import time; time.sleep(100)"), b"", Limits(cpu_seconds=60))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    host = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
    server = int(host.stdout.readline())
    _until(lambda: len(_descendants(host.pid)) == {"namespaces": 3, "landlock": 2}[tier])  # up to the program
    processes = _descendants(host.pid)
    assert server in processes
    host.kill()
    host.wait()
    host.stdout.close()
    _until(lambda: not any(map(_alive, processes)))


def test_a_forked_child_has_its_own_servers_and_slots(jail):
    jail = Jail(jail.tier, slots=1)
    _python(jail, "print(7)")
    for _ in range(2):
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if _python(jail, "print(8)").stdout == b"8\n" else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert _python(jail, "print(7)").stdout == b"7\n"
    jail.close()


def test_a_fork_while_programs_run_frees_their_slots(jail):
    jail = Jail(jail.tier, slots=1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_python, jail, "import time; time.sleep(0.5); print(7)")
        time.sleep(0.2)
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
        try:
            assert waiting.result().stdout == b"7\n"
            assert _python(jail, "print(8)").waited_seconds < 5
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    jail.close()


def test_threads_share_a_jail(jail):
    def run(number):
        return _python(jail, "print(int(input()) + 1)", str(number).encode()).stdout

    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(run, range(192))) == [b"%d\n" % (number + 1) for number in range(192)]


def test_slots_are_host_wide():
    assert default_count() == max(1, len(os.sched_getaffinity(0)) - 2)
    program = """
from reward.code.jail import *
jail = Jail(slots=1)
print("ready", flush=True)
input()
print(jail.run(PythonProgram("print(8)"), b"", Limits()).waited_seconds)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with contextlib.closing(Jail(slots=1)) as first:
        other = subprocess.Popen([sys.executable, "-c", program], env=environment, **pipes)
        assert other.stdout.readline() == "ready\n"
        with first.slot():
            other.stdin.write("\n")
            other.stdin.flush()
            time.sleep(1.5)
        waited, _ = other.communicate()
    assert float(waited) > 0.5


def test_a_closed_jail_says_so():
    jail = Jail()
    jail.close()
    jail.close()
    with pytest.raises(JailError, match="closed"):
        _python(jail, "print(7)")


@pytest.mark.parametrize("settings", [{"cpu_seconds": 0}, {"memory_mb": -1}, {"output_bytes": 0}])
def test_limits_are_positive(settings):
    with pytest.raises(ValueError, match="must be positive"):
        Limits(**settings)


# Hosts.


def test_without_namespaces_and_landlock_the_jail_refuses_in_one_line():
    for tier in ("auto", "namespaces", "landlock"):
        with pytest.raises(JailUnavailable, match="cannot be confined on this host") as refusal:
            RemoteJail(tier, without=("namespaces", "landlock"))
        assert "\n" not in str(refusal.value)
        assert all(way in str(refusal.value) for way in ("user namespaces", "Landlock", "Sandbox Fusion"))


def test_without_namespaces_the_tier_is_landlock():
    jail = RemoteJail("auto", without=("namespaces",))
    assert jail.tier == "landlock"
    assert _python(jail, "print(7)").stdout == b"7\n"
    jail.close()


def test_namespaces_come_first():
    jail = Jail()
    assert jail.tier == "namespaces"
    jail.close()


@pytest.mark.slow
@pytest.mark.alone  # other tests' files in /tmp would count as left behind
@pytest.mark.parametrize("tier", ["namespaces", pytest.param("landlock", marks=pytest.mark.exhaustive)])
def test_a_thousand_hostile_programs_leave_nothing_and_disturb_nobody(tier):
    hostile = [attempts([e for e in group if "{" not in e]) for group in REFUSED.values()]
    hostile += [source for name, (source, ending) in LIMITS.items() if ending != "wall" and "megabytes" not in name]
    chosen = random.Random(0).choices(hostile, k=1000)
    jail = Jail(tier, slots=4)
    _python(jail, "print(7)")

    def state():
        gc.collect()
        temporary = sorted(p.name for folder in ("/tmp", "/dev/shm", "/var/tmp") for p in Path(folder).iterdir())
        ipc = [Path(f"/proc/sysvipc/{kind}").read_text() for kind in ("shm", "sem", "msg")]
        return temporary, ipc, len(os.listdir("/proc/self/fd")), threading.active_count()

    def honest(number):
        run = jail.run(PythonProgram("print(sum(range(int(input()))))"), str(number).encode(), Limits(cpu_seconds=2.0))
        return run.stdout == b"%d\n" % (number * (number - 1) // 2) and run.ending == "finished"

    before = state()
    with ThreadPoolExecutor(4) as pool, ThreadPoolExecutor(1) as beside:
        verdicts = pool.map(lambda source: jail.run(PythonProgram(source), b"1 2", BRIEF).ending, chosen)
        right = beside.map(honest, range(1000))
        assert set(verdicts) <= {"finished", "failed", "cpu", "memory", "output", "wall"}
        assert all(right)
    # Each idle server is one socket here.
    after = state()
    assert (after[0], after[1], after[3]) == (before[0], before[1], before[3])
    assert after[2] <= before[2] + 3
    servers = {server.pid for server in jail._servers}
    assert len(servers) <= 4
    jail.close()
    _until(lambda: not servers & _descendants())
    assert not [pid for pid in _descendants() if b"zygote" in Path(f"/proc/{pid}/cmdline").read_bytes()]
