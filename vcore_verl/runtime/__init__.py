"""Child processes and the machine they run on. Imports no torch.

- `process`    starts a command, watches its progress, ends it
- `guard`      the process in between, which leaves nothing of a command behind
- `progress`   what a person sees meanwhile
- `diagnose`   why a command failed, from its log
- `hardware`   what this machine has
"""
