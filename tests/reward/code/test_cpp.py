import shutil
import sys
import time

import pytest

from reward.code import cpp
from reward.code.cpp import CompileError, CompilerMissing, compile_cpp
from reward.code.jail import Jail, Limits
from reward.code.slots import private_folder

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the jail needs Linux"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++"),
]

ALL = "#include <bits/stdc++.h>\nusing namespace std;\n"
SHORT = Limits(cpu_seconds=0.5, memory_mb=256, output_bytes=1 << 20)


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def jail(request):
    cpp._binaries.clear()  # compile in either tier
    jail = Jail(request.param)
    assert jail.tier == request.param
    yield jail
    jail.close()
    assert not list(private_folder().glob("compile-*"))


@pytest.mark.parametrize(
    ("body", "ending", "stdout"),
    [
        ("int a, b; cin >> a >> b; cout << a + b << endl;", "finished", b"3\n"),
        ('printf("7"); exit(0);', "finished", b"7"),
        ('puts("7"); return 1;', "failed", b"7\n"),
        ("cout << 7; cout.flush(); abort();", "failed", b"7"),
        ("for (;;);", "cpu", b""),
        ("for (;;) puts(string(1000, 'x').c_str());", "output", None),
        ("vector<string> v; for (;;) v.push_back(string(1 << 24, 'x'));", "memory", b""),
        ("this_thread::sleep_for(chrono::hours(1));", "wall", b""),
        ("thread t([] { cout << 7; }); t.join();", "finished", b"7"),
        ("optional<int> o = 7; auto [x, y] = pair(*o, 1); cout << x;", "finished", b"7"),
        (
            "function<int(int)> f = [&](int n) { return n ? 1 + f(n - 1) : 0; }; cout << f(1000000);",
            "finished",
            b"1000000",
        ),
    ],
)
def test_a_program_runs_in_the_strict_jail(jail, body, ending, stdout):
    run = jail.run(compile_cpp(f"{ALL}int main() {{ {body} }}", jail), b"1 2\n", SHORT)
    assert run.ending == ending, run
    assert stdout is None or run.stdout == stdout


def test_messages_of_a_crash(jail):
    binary = compile_cpp(f"{ALL}int main() {{ vector<int> v; v.at(1); }}", jail)
    assert "what():  vector::_M_range_check" in jail.run(binary, b"", SHORT).message
    binary = compile_cpp("int main() { int *p = 0; *(volatile int *)p = 1; }", jail)
    assert jail.run(binary, b"", SHORT).message == "killed by SIGSEGV"


def test_a_binary_is_confined(jail):
    source = r"""
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
int main() {
    char *const nothing[] = {nullptr};
    long results[] = {
        fork(), vfork(), execv("/bin/true", nothing), socket(AF_UNIX, SOCK_STREAM, 0), open("/etc/passwd", O_RDONLY),
        open("/tmp/a", O_CREAT | O_WRONLY, 0600), chmod("/etc/passwd", 0777), kill(getppid(), 9), kill(-1, 9),
        memfd_create("a", 0), syscall(SYS_execveat, 0, "", nothing, nothing, 0x1000),
        syscall(SYS_execveat, 4, "", nothing, nothing, 0x1000), dup(3), dup(4),
    };
    for (long result : results) printf("%ld ", result);
}
"""
    run = jail.run(compile_cpp(source, jail), b"", SHORT)
    assert run.stdout.split() == [b"-1"] * 14, run


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("int main( {", "solution.cpp:1"),
        ("print(7)", "solution.cpp:1"),
        ('#include "/etc/passwd"', "/etc/passwd"),
        ("#include </dev/zero>", "/dev/zero"),
        ("#include <../../../../../../../proc/self/environ>", "environ"),
        ('asm(".incbin \\"/etc/passwd\\""); int main() {}', "/etc/passwd"),
        ("template <int N> struct A { static const int v = A<N + 1>::v; }; int main() { return A<0>::v; }", "depth"),
        ("template <class T> struct P { typedef P<P<T>> t; static int v() { return t::v() + P<t>::v(); } };\n"
         "int main() { return P<int>::v(); }", ""),
        ("constexpr int f(int n) { for (;;) ++n; return n; } constexpr int x = f(0); int main() {}", ""),
        ("int a[1 << 28] = {1}; int main() {}", ""),
        ("x;\n" * 100000, ""),
        ('#pragma GCC plugin "/etc/passwd"\n#include "solution.cpp"\nint main() {}', ""),
        ("int main() { return missing(); }", "missing"),
        ("void f(); int main() { f(); }", "undefined reference"),
    ],
)  # fmt: skip
def test_hostile_source_does_not_compile_and_tells_nothing(jail, source, message):
    started = time.monotonic()
    with pytest.raises(CompileError, match=r".") as error:
        compile_cpp(source, jail)
    assert message in str(error.value)
    assert len(str(error.value)) <= 2000
    assert "root:" not in str(error.value) and str(private_folder()) not in str(error.value)
    assert time.monotonic() - started < 100


def test_a_binary_is_compiled_once(jail):
    assert compile_cpp(f"{ALL}int main() {{}}", jail) is compile_cpp(f"{ALL}int main() {{}}", jail)


def test_without_a_compiler_one_line_says_so(jail, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompilerMissing, match=r"^C\+\+ programs need g\+\+.*apt install g\+\+\)$"):
        compile_cpp("int main() { return 42; }", jail)
