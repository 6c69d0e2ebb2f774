"""Hostile programs by class. Text for the jail; nothing here runs on import."""

import json
import platform

from reward.code.inside import syscalls

_COLUMN = {"x86_64": 0, "aarch64": 1}.get(platform.machine(), 0)
_NUMBERS = {
    name: row[_COLUMN]
    for name, row in {
        **syscalls.EXECUTION,
        **syscalls.FILES,
        **syscalls.FORBIDDEN,
        **syscalls.EXAMINED,
        # newer than the newest reviewed
        "cachestat": (451, 451),
        "fchmodat2": (452, 452),
        "listmount": (458, 458),
        "setxattrat": (463, 463),
    }.items()
    if row[_COLUMN] is not None
}

_TRY = f"""
import ctypes, fcntl, glob, mmap, multiprocessing, os, resource, signal, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = {json.dumps(_NUMBERS)}
def syscall(name, *arguments):
    if name not in NUMBERS: raise OSError(38, "not on this machine")
    result = libc.syscall(NUMBERS[name], *arguments)
    if result < 0: raise OSError(ctypes.get_errno(), name)
    return result
def attempt(text):
    try: result = eval(text)
    except (OSError, ValueError): return
    print("worked:", text, "->", repr(result)[:200])
"""


def attempts(expressions: list[str]) -> str:
    """A program that names every expression that the kernel did not refuse."""
    return _TRY + "".join(f"attempt({text!r})\n" for text in expressions) + "print('held')\n"


# Every expression must raise. {bait}: a folder of the host with `secret`, `stream` and `datagram` (sockets).
REFUSED = {
    "processes": [
        "os.fork()",
        "os.forkpty()",
        "subprocess.run(['/bin/true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])",
        "os.execve(os.open(sys.executable, os.O_RDONLY), ['python'], {})",
        "multiprocessing.Pool(1)",
        "syscall('vfork')",
        "syscall('clone', 17, 0, 0, 0, 0)",
        "syscall('clone3', 0, 0)",
        "syscall('clone', 0x10000 | 0x100 | 0x800 | 0x10000000, 0, 0, 0, 0)",
    ],
    "memory": [
        "syscall('shmget', 0, 1 << 20, 0o1600)",
        "syscall('semget', 0, 1, 0o1600)",
        "syscall('msgget', 0, 0o1600)",
        "syscall('mq_open', b'queue', 0o102, 0o600, 0)",
        "os.memfd_create('fill')",
        "syscall('memfd_secret', 0)",
        "mmap.mmap(-1, 1 << 40)",
        "fcntl.fcntl(os.pipe()[0], 1031, 1 << 20)",
        "syscall('io_setup', 1000, ctypes.byref(ctypes.c_long()))",
    ],
    "disk": [
        *[f"open({path!r}, 'w')" for path in ("here", "/tmp/a", "/var/tmp/a", "/dev/shm/a", "/root/a", "{bait}/new")],
        "open('{bait}/secret', 'a')",
        "open('{bait}/secret', 'r+')",
        "os.open('{bait}/secret', os.O_RDONLY | os.O_TRUNC)",
        "os.open(os.__file__, os.O_RDONLY | os.O_TRUNC)",
        "os.open('/dev/shm', os.O_TMPFILE | os.O_RDWR)",
        "os.truncate('{bait}/secret', 0)",
        "os.chmod('{bait}/secret', 0o777)",
        "os.chmod(os.__file__, 0o777)",
        "os.fchmod(os.open(os.__file__, os.O_RDONLY), 0o777)",
        "os.fchmod(0, 0o777)",
        "os.chown(os.__file__, os.getuid(), os.getgid())",
        "os.utime(os.__file__)",
        "os.utime('{bait}/secret')",
        "os.setxattr('{bait}/secret', 'user.a', b'b')",
        "os.rename('{bait}/secret', '{bait}/other')",
        "os.unlink('{bait}/secret')",
        "os.symlink('/etc/passwd', '{bait}/link')",
        "os.link('{bait}/secret', '{bait}/hard')",
        "os.mkdir('{bait}/folder')",
        "os.mkdir('/tmp/folder')",
        "os.mknod('/tmp/null', 0o20666, os.makedev(1, 3))",
        "os.mkfifo('/tmp/fifo')",
        "syscall('fchmodat2', -100, b'{bait}/secret', 0o777, 0)",
        "syscall('openat2', -100, b'{bait}/secret', bytes(24), 24)",
    ],
    "secrets": [
        *[
            f"open({path!r}).read()"
            for path in (
                "{bait}/secret",
                "/etc/passwd",
                "/etc/hostname",
                "{root}/pyproject.toml",
                "{root}/reward/code/jail.py",
                "/proc/self/environ",
                "/proc/self/maps",
                "/proc/1/environ",
                "/proc/1/cmdline",
                "/proc/self/mountinfo",
                "/proc/meminfo",
                "/sys/kernel/ostype",
                "/dev/mem",
                "/dev/shm/anything",
            )
        ],
        "open('/proc/%d/environ' % os.getppid()).read()",
        "open('/proc/%d/mem' % os.getppid(), 'rb').read(1)",
        "os.listdir('/proc')",
        "os.listdir('/proc/self/fd')",
        "os.listdir('{bait}')",
        "os.listdir('/tmp')",
        "os.listdir(os.path.expanduser('~'))",
        # The repository itself may be above the interpreter's folder, and then exists with nothing else in it.
        "os.listdir('{root}/tests')",
        "open('{root}/pyproject.toml').read()",
    ],
    "network": [
        "socket.create_connection(('127.0.0.1', {port}), 1)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "socket.socket(socket.AF_INET6)",
        "socket.socket(socket.AF_UNIX)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "socket.getaddrinfo('localhost.example', 80)",
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)",
        "socket.socketpair()[0].connect('{bait}/stream')",
        "socket.socketpair()[0].sendto(b'x', '{bait}/datagram')",
        "socket.socketpair()[0].sendmsg([b'x'], [], 0, '{bait}/datagram')",
    ],
    "other processes": [
        *[f"os.kill({target}, signal.SIGKILL)" for target in ("os.getppid()", "-1", "0", "-os.getppid()", "{host}")],
        "os.pidfd_open(os.getppid())",
        "syscall('pidfd_open', {host}, 0)",
        "syscall('tkill', {host}, 9)",
        "syscall('tgkill', {host}, {host}, 9)",
        "syscall('rt_sigqueueinfo', {host}, 10, bytes(128))",
        "syscall('ptrace', 16, {host}, 0, 0)",
        "syscall('ptrace', 0, 0, 0, 0)",
        "syscall('process_vm_writev', {host}, 0, 0, 0, 0, 0)",
        "os.setpriority(os.PRIO_PROCESS, {host}, 19)",
        "os.nice(-5)",
        "os.nice(5)",
        "os.sched_setaffinity({host}, [0])",
        "resource.prlimit({host}, resource.RLIMIT_NOFILE, (9, 9))",
        "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)",
        "fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, {host})",
        "fcntl.fcntl(os.pipe()[0], 10, 9)",
        "fcntl.ioctl(os.pipe()[0], 0x8901, bytes(4))",
        "fcntl.fcntl(os.open(os.__file__, os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK)",
    ],
    "limits": [
        "resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY,) * 2)",
        "resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2)",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (4096,) * 2)",
        "syscall('prctl', 1, 0, 0, 0, 0)",  # would outlive its fork server
        "syscall('prctl', 4, 1, 0, 0, 0)",
        "syscall('prctl', 36, 1, 0, 0, 0)",
    ],
    "identity": [
        "os.setuid(0)",
        "os.setuid(os.getuid())",
        "os.setresgid(0, 0, 0)",
        "os.setgroups([])",
        "syscall('capset', bytes(8), bytes(24))",
        "syscall('personality', 0x40000)",
    ],
    "stdin": ["os.write(0, b'9 9')", "mmap.mmap(0, 3)", "os.ftruncate(0, 0)", "fcntl.fcntl(0, 1033, 0)"],
    "kernel": [
        f"syscall({name!r}, 0, 0, 0, 0, 0)"
        for name in (
            *("io_uring_setup", "userfaultfd", "bpf", "keyctl", "add_key", "perf_event_open", "unshare", "setns"),
            *("mount", "umount2", "pivot_root", "chroot", "fsopen", "open_tree", "mount_setattr", "seccomp", "reboot"),
            *(
                "init_module",
                "kexec_load",
                "swapon",
                "sync",
                "settimeofday",
                "sethostname",
                "inotify_init1",
                "cachestat",
            ),
            *("listmount", "setxattrat", "name_to_handle_at", "fanotify_init", "acct", "quotactl", "syslog"),
        )
    ],
}

# name: (program, how it ends); each at 0.5 s of CPU and 256 MiB.
LIMITS = {
    "busy loop": ("while True: pass", "cpu"),
    "swallows every exception": ("while True:\n  try:\n    while True: pass\n  except BaseException: pass", "cpu"),
    "ignores signals": (
        "import signal\nfor n in range(1, 65):\n  try: signal.signal(n, signal.SIG_IGN)\n  except OSError: pass\n"
        "  except ValueError: pass\nwhile True: pass",
        "cpu",
    ),
    "threads share the CPU": (
        "import threading\ndef f():\n  while True: pass\nfor i in range(8): threading.Thread(target=f).start()",
        "cpu",
    ),
    "hashes without the interpreter lock": (
        "import hashlib, threading\nb = bytes(1 << 24)\ndef f():\n  while True: hashlib.sha256(b)\n"
        "for i in range(4): threading.Thread(target=f).start()",
        "cpu",
    ),
    "sleeps": ("import time\ntime.sleep(1000)", "wall"),
    "stops itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "wall"),
    "waits for a lock": ("import threading\nl = threading.Lock()\nl.acquire()\nl.acquire()", "wall"),
    "list of arrays": ("x = []\nwhile True: x.append(bytearray(1 << 24))", "memory"),
    "one huge list": ("[0] * 10**10", "memory"),
    "numpy": ("import numpy\nnumpy.zeros(1 << 40, numpy.uint8)", "memory"),
    "thread stacks": (
        "import threading, time\nthreading.stack_size(1 << 26)\n"
        "for i in range(100): threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
        "failed",
    ),
    "many small threads": (
        "import threading, time\nthreading.stack_size(1 << 15)\n"
        "while True: threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
        "failed",
    ),
    "endless stdout": ("while True: print('x' * 1000)", "output"),
    "endless stderr": ("import sys\nwhile True: sys.stderr.write('x' * 1000)", "output"),
    "one long line": ("import os\nb = b'x' * (1 << 22)\nwhile True: os.write(1, b)", "output"),
    "endless returned value": ("class Solution:\n  def f(self): return ['x' * 1000] * 2000", "output"),
    "endless recursion": ("import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return f(n + 1)\nf(0)", None),
    "endless recursion in C": (
        "import sys\nsys.setrecursionlimit(10**9)\nclass A:\n  def __getattr__(s, n): return getattr(s, n)\nA().b",
        None,
    ),
    "crash": ("import ctypes\nctypes.string_at(0)", "failed"),
    "kills itself": ("import os\nos.kill(os.getpid(), 9)", "failed"),
    "forges the exit code of a MemoryError": ("import os\nos._exit(86)", "memory"),
    "writes to every descriptor": (
        "import os\nfor d in range(3, 256):\n  try: os.write(d, b'{}\\n')\n  except OSError: pass\nos._exit(3)",
        "failed",
    ),
    "other system calls' table": ("import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 39)", "failed"),
    "huge constant": ("x = 9**9**9**9", "cpu"),
    "deep nesting": ("(" * 100000 + ")" * 100000, "failed"),
    "NUL bytes": ("print(1)\0", "failed"),
    "ten megabytes of source": ("x = 1\n" * 2_000_000, None),
    "coding cookie": ("# coding: rot13\n1/0", "failed"),
    "lone surrogate": ("print('\ud800')", "failed"),
    "exit handler that never ends": ("import atexit\n@atexit.register\ndef f():\n  while True: pass", "cpu"),
    "destructor that never ends": ("class A:\n  def __del__(self):\n    while True: pass\na = A()", "cpu"),
    "exception that cannot be printed": (
        "class E(Exception):\n  def __str__(s):\n    while True: pass\nraise E",
        "cpu",
    ),
    "exit replaced": ("import os\nos._exit = lambda code: None\n1/0", "failed"),
}
LIMITS_FUNCTION = {"endless returned value": "f"}
