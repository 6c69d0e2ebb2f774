"""Child processes and the machine they run on. Imports no torch.

- `process`    starts a command, watches its progress, ends it
- `guard`      the process in between, which leaves no process of a command behind
- `progress`   progress bars and lines
- `diagnose`   why a command failed, from its log
- `hardware`   the devices of this machine
"""
