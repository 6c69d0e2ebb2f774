"""The built-in tasks by their name in recipes. Imports no torch."""

from vcore_verl.builtin import laboratory
from vcore_verl.builtin.arithmetic import Arithmetic
from vcore_verl.builtin.puzzles import Puzzles
from vcore_verl.builtin.task import Task

TASKS: dict[str, Task] = {
    "builtin:arithmetic": Arithmetic(),
    "builtin:laboratory": laboratory.FAMILIAR,
    "builtin:laboratory_new": laboratory.NEW,
    "builtin:puzzles": Puzzles(),
}
