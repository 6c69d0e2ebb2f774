"""The process that becomes the compiler, confined: it reads the toolchain, writes one folder, has no network.

Arguments: the tier, the folder to write, the limit of a file in MiB, the number of folders to read, these folders, the
command. It exits with the command's status, or says on stderr after `REFUSED` why it could not start it.
"""

import os
import sys

from . import confine, namespaces

REFUSED = "the compiler's jail: "
_ADDRESS_SPACE_BYTES = 2 << 30
_CPU_SECONDS = 30  # of each of the compiler's processes
_STACK_BYTES = 64 << 20
_SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/dev/null")


def main() -> None:
    tier, writable, file_mb, num_folders, *rest = sys.argv[1:]
    folders, command = rest[: int(num_folders)], rest[int(num_folders) :]
    readable = [*_SYSTEM, *folders]
    try:
        if tier == "namespaces":
            namespaces.enter()
            namespaces.change_root(readable, writable=[writable])
        rules = confine.landlock_rules(readable, write=[writable], execute=True)
        if rules is None and tier == "landlock":
            raise OSError("this kernel has no Landlock")
        os.chdir(writable)
        confine.give_up_privileges()
        if rules is not None:
            confine.landlock(rules)
        confine.set_limits(_ADDRESS_SPACE_BYTES, _CPU_SECONDS, _STACK_BYTES, file_bytes=int(file_mb) << 20)
        confine.seccomp(confine.compiler_filter())
        os.execve(command[0], command, {"PATH": "/usr/bin:/bin", "TMPDIR": writable, "LC_ALL": "C.UTF-8"})
    except OSError as error:
        sys.exit(f"{REFUSED}{error}")
