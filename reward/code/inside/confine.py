"""Confinement of the calling process, in ways that need no privilege and that it cannot undo.

Landlock limits which files can be opened, seccomp which system calls can be made and with which arguments, rlimits how
much of the host's resources is used. Linux only; x86-64 and aarch64.
"""

import ctypes
import functools
import itertools
import os
import platform
import resource
import struct
from collections.abc import Iterable, Sequence

from . import syscalls

_libc = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 1, 4, 38, 22
_EPERM, _EACCES, _ENOTTY, _ENOSYS = 1, 13, 25, 38

_OPEN_FILES = 64
_KNOWN = {**syscalls.EXECUTION, **syscalls.FILES, **syscalls.FORBIDDEN, **syscalls.EXAMINED}
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the tables, AUDIT_ARCH_*


def call(name: str, *arguments: object) -> int:
    """The C function `name`; raises OSError with its errno where it returns a negative number."""
    result = getattr(_libc, name)(*(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result


def _architecture(machine: str) -> tuple[int, int]:
    if machine not in _ARCHITECTURES:
        raise OSError(_ENOSYS, f"no table of system calls for {machine}")
    return _ARCHITECTURES[machine]


def number(name: str) -> int:
    """The number of a system call on this machine; raises OSError (ENOSYS) where there is no table."""
    found = _KNOWN[name][_architecture(platform.machine())[0]]
    if found is None:
        raise OSError(_ENOSYS, f"{name}: {os.strerror(_ENOSYS)}")
    return found


def set_limits(address_space_bytes: int, cpu_seconds: int, stack_bytes: int, file_bytes: int = 0) -> None:
    """Resource limits of the calling process, soft and hard.

    The hard limit of the stack stays: the stack counts as address space, and programs for contests raise it themselves.
    """
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    soft = stack_bytes if hard == resource.RLIM_INFINITY else min(stack_bytes, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    for name, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_AS, address_space_bytes),
    ):
        resource.setrlimit(name, (limit, limit))


def give_up_privileges() -> None:
    """No capabilities, none to be gained by execve, memory that other processes of the user cannot read."""
    version_3_of_this_process = ctypes.create_string_buffer(struct.pack("II", 0x20080522, 0), 8)
    call("capset", version_3_of_this_process, ctypes.create_string_buffer(24))
    call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def die_with(parent: int) -> None:
    """Have the kernel end this process with the thread that forked it: a fork server has only one."""
    call("prctl", PR_SET_PDEATHSIG, 9, 0, 0, 0)
    if os.getppid() != parent:  # it died before the call above
        os._exit(1)


# Landlock: security/landlock in the kernel, include/uapi/linux/landlock.h. The numbers are the same everywhere.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_FILE_RIGHTS_OF_ABI = {1: 13, 2: 14, 3: 15, 4: 15}  # how many bits; 16 from ABI 5 on
_TCP, _SCOPES = 0b11, 0b11  # bind and connect (ABI 4); abstract sockets and signals (ABI 6)


def landlock_abi() -> int:
    """The version of Landlock in this kernel, 0 without it."""
    return max(0, _libc.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_long(0), ctypes.c_long(1)))


def landlock_rules(
    read: Iterable[str], names: Iterable[str] = (), write: Iterable[str] = (), execute: bool = False
) -> int | None:
    """A file descriptor of rules for `landlock`, None where the kernel has none. Paths that do not exist are left out.

    Args:
        read: files, and folders with all below them, that can be read.
        names: folders of which only the names below them can be listed.
        write: folders in which everything is allowed except execution.
        execute: whether what can be read can be executed as well.
    """
    abi = landlock_abi()
    if abi == 0:
        return None
    every_right = (1 << _FILE_RIGHTS_OF_ABI.get(abi, 16)) - 1
    attributes = struct.pack("QQQ", every_right, _TCP if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    rules = call("syscall", _CREATE_RULESET, ctypes.c_char_p(attributes), size, 0)
    reading = _READ_FILE | _READ_DIR | (_EXECUTE if execute else 0)
    for paths, rights in ((read, reading), (names, _READ_DIR), (write, every_right & ~_EXECUTE)):
        for path in paths:
            _allow(rules, path, rights)
    return rules


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):
        rights &= _READ_FILE | _EXECUTE
    rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place), 12)
    call("syscall", _ADD_RULE, rules, 1, rule, 0)
    os.close(place)


def landlock(rules: int) -> None:
    call("syscall", _RESTRICT_SELF, rules, 0)


# seccomp: a classic BPF program over struct seccomp_data {int nr; u32 arch; u64 ip; u64 args[6]}.
_LOAD, _AND, _IF_EQUAL, _IF_GREATER_OR_EQUAL, _IF_ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000

_CLONE_THREAD = 0x10000
_CLONE_NEW = 0x7E020080  # CLONE_NEW*: time, mount, cgroup, uts, ipc, user, pid, net
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | 0x400000  # the last: O_TMPFILE without O_DIRECTORY
_AT_EMPTY_PATH = 0x1000
# A descriptor's owner gets its signals, whoever it is; a lease stops others; a pipe's size counts for the whole user.
_FCNTL_REFUSED = (
    8,
    10,
    15,
    1024,
    1026,
    1031,
    1033,
)  # F_SETOWN, _SETSIG, _SETOWN_EX, _SETLEASE, _NOTIFY, _SETPIPE_SZ, F_ADD_SEALS
_IOCTL_ALLOWED = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIO[N]CLEX
_PRCTL_ALLOWED = (3, 15, 16, 0x53564D41)  # PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, PR_SET_VMA (malloc names memory)

_Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant
_ALLOWED: _Instruction = (_RETURN, 0, 0, _ALLOW)
_PROCESS = 0x5AC3A53C  # stands for a process id where a filter is built in advance; Linux has none above 2^22


def _error(number: int) -> _Instruction:
    return (_RETURN, 0, 0, _ERROR | number)


def _argument(index: int, high: bool = False) -> _Instruction:
    return (_LOAD, 0, 0, 16 + 8 * index + 4 * high)  # both architectures are little-endian


def _only(index: int, allowed: Sequence[int], error: int = _EPERM) -> list[_Instruction]:
    """The call goes on to the kernel if its argument's low half is one of `allowed`."""
    tests: list[_Instruction] = [(_IF_EQUAL, len(allowed) - i, 0, value) for i, value in enumerate(allowed)]
    return [_argument(index), *tests, _error(error), _ALLOWED]


def _require(index: int, value: int, high: bool = False, mask: int = 0xFFFFFFFF) -> list[_Instruction]:
    """Refuses the call unless its argument, masked, has this value; otherwise the next instruction decides."""
    return [_argument(index, high), (_AND, 0, 0, mask), (_IF_EQUAL, 1, 0, value), _error(_EPERM)]


def _program_rules(pid: int, binary: int | None) -> dict[str, list[_Instruction]]:
    writing = [(_IF_ANY_BIT, 0, 1, _WRITING), _error(_EACCES), _ALLOWED]
    fcntl: list[_Instruction] = [(_IF_EQUAL, len(_FCNTL_REFUSED) - i, 0, n) for i, n in enumerate(_FCNTL_REFUSED)]
    rules = {
        "fork": [_error(_EPERM)],
        "vfork": [_error(_EPERM)],
        "clone": [
            *[_argument(0), (_IF_ANY_BIT, 0, 1, _CLONE_NEW), _error(_EPERM)],
            *[(_IF_ANY_BIT, 1, 0, _CLONE_THREAD), _error(_EPERM), _ALLOWED],
        ],
        "clone3": [_error(_ENOSYS)],  # its flags are in memory; the C library falls back to clone
        "openat2": [_error(_ENOSYS)],  # likewise
        "open": [_argument(1), *writing],
        "openat": [_argument(2), *writing],
        "kill": _only(0, [pid]),
        "tgkill": _only(0, [pid]),
        "prlimit64": _only(0, [0, pid]),
        "sendto": [*_require(4, 0), *_require(4, 0, high=True), _ALLOWED],  # no address: to the other end of a pair
        "socketpair": [*_require(0, 1), *_require(1, 1, mask=0xF), _ALLOWED],  # AF_UNIX, SOCK_STREAM
        "prctl": _only(0, _PRCTL_ALLOWED),
        "fcntl": [_argument(1), *fcntl, _ALLOWED, _error(_EPERM)],
        "ioctl": _only(1, _IOCTL_ALLOWED, _ENOTTY),
    }
    if binary is not None:
        rules["execveat"] = [*_require(0, binary), *_require(4, _AT_EMPTY_PATH), _ALLOWED]
    return rules


def seccomp_filter(pid: int, binary: int | None = None, machine: str = platform.machine()) -> bytes:
    """The filter for an untrusted program with this process id.

    Args:
        pid: as the process itself sees it; it can signal nobody else.
        binary: a descriptor that it can execute, and nothing else.
        machine: as `uname -m`.
    """
    return _program_filter(binary, machine).replace(struct.pack("I", _PROCESS), struct.pack("I", pid))


@functools.cache
def _program_filter(binary: int | None, machine: str) -> bytes:
    """The filter with `_PROCESS` in place of the process id: assembling it takes a tenth of a run's time."""
    rules = _program_rules(_PROCESS, binary)
    return _assemble(machine, {**syscalls.EXECUTION, **syscalls.FILES, **syscalls.FORBIDDEN}, rules)


def compiler_filter(machine: str = platform.machine()) -> bytes:
    """The filter for a compiler: it can fork, execute and write files, but gets no network and no kernel interfaces."""
    rules = {
        "clone": [_argument(0), (_IF_ANY_BIT, 0, 1, _CLONE_NEW), _error(_EPERM), _ALLOWED],
        "clone3": [_error(_ENOSYS)],
    }
    return _assemble(machine, syscalls.FORBIDDEN, rules)


def _assemble(machine: str, forbidden: dict[str, syscalls.Numbers], rules: dict[str, list[_Instruction]]) -> bytes:
    column, architecture = _architecture(machine)
    program: list[_Instruction] = [
        *[(_LOAD, 0, 0, 4), (_IF_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)],
        *[(_IF_GREATER_OR_EQUAL, 0, 1, syscalls.X32_BIT), (_RETURN, 0, 0, _KILL)],
        *[(_IF_GREATER_OR_EQUAL, 0, 1, syscalls.NEWEST + 1), _error(_ENOSYS)],
    ]
    for name, body in rules.items():
        numbered = _KNOWN[name][column]
        if numbered is not None:
            program += [(_IF_EQUAL, 0, len(body), numbered), *body]
    numbers = (n for name, row in forbidden.items() if name not in rules and (n := row[column]) is not None)
    program += [*_refusing(sorted(numbers)), _ALLOWED]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def _refusing(numbers: list[int]) -> list[_Instruction]:
    """Instructions that refuse the system calls with these numbers, which ascend.

    Consecutive numbers share one range check: the kernel compiles the filter anew for each process.
    """
    program: list[_Instruction] = []
    for _, run in itertools.groupby(enumerate(numbers), key=lambda item: item[1] - item[0]):
        consecutive = [number for _, number in run]
        first, last = consecutive[0], consecutive[-1]
        program += [(_IF_GREATER_OR_EQUAL, 0, 2, first), (_IF_GREATER_OR_EQUAL, 1, 0, last + 1), _error(_EPERM)]
    return program


def seccomp(program: bytes) -> None:
    instructions = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(instructions)), 16)
    call("prctl", _PR_SET_SECCOMP, 2, header, 0, 0)
