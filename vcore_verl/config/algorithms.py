"""What the RL algorithms declare: `@register("name", verl={...}, ...)` on a class whose annotated attributes are the
settings. Read as `declarations` says, without importing the file.
"""

import ast
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from vcore_verl.config.declarations import Library, Parameter, error_at, evaluated, parameter, parsed, registrations
from vcore_verl.config.overrides import merge

ALGORITHMS = Path(__file__).resolve().parents[1] / "rl" / "algorithms"
DEFAULT = "grpo"  # of an RL file that names none, and of a comparison
# Methods of `vcore_verl.rl.algorithms.Algorithm` that a class may define.
ADVANTAGES, TOKEN_LOSS, SCALE, ALLOCATE = HOOKS = ("advantages", "token_loss", "scale", "allocate")
# What the trainer and the checks read of an algorithm that allocates.
ALLOCATION = ("pilot", "discard_pilot", "lowest", "highest")
RESERVED = (*HOOKS, "declaration", "settings")  # besides the common keys of the section `rl`


@dataclass(frozen=True)
class Declaration:
    """An RL algorithm as its file declares it.

    `verl` is merged into verl's PPO configuration. `hooks` are the methods that the class defines. `ignores` names
    common keys of the section `rl` that have no effect. `groups`: it compares the responses to a prompt, so there must
    be several. `binary`: its formula holds only for rewards of 0 and 1.
    """

    name: str
    file: Path
    parameters: tuple[Parameter, ...]
    hooks: tuple[str, ...]
    verl: dict[str, Any] = field(default_factory=dict, hash=False)
    ignores: tuple[str, ...] = ()
    groups: bool = True
    binary: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """What the algorithm sets in verl's PPO configuration: `verl`, and its hooks under their registered name."""
        found = self.verl
        if ADVANTAGES in self.hooks:
            found = merge(found, {"algorithm": {"adv_estimator": registered(self.name)}})
        if TOKEN_LOSS in self.hooks:
            loss = {"policy_loss": {"loss_mode": registered(self.name)}}
            found = merge(found, {"actor_rollout_ref": {"actor": loss}})
        return found


def registered(name: str) -> str:
    """The name under which verl knows the hooks of the algorithm `name`: none of its own has this prefix."""
    return f"vcore_{name}"


def declarations(file: Path) -> list[Declaration]:
    """The algorithms that `file` registers. Raises `RecipeError` if it is missing or a declaration is invalid."""
    classes = [node for node in parsed(file).body if isinstance(node, ast.ClassDef)]
    return [_declaration(file, node, call) for node in classes for call in registrations(node)]


def _declaration(file: Path, node: ast.ClassDef, call: ast.Call) -> Declaration:
    attributes = [
        (item, item.target.id)
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    ]
    declared = tuple(parameter(file, item, name, item.annotation, item.value, RESERVED) for item, name in attributes)
    hooks = tuple(item.name for item in node.body if isinstance(item, ast.FunctionDef) and item.name in HOOKS)
    lacking = set(ALLOCATION) - {item.name for item in declared}
    if ALLOCATE in hooks and lacking:
        raise error_at(file, node, f"{ALLOCATE} takes the settings {', '.join(ALLOCATION)}")
    return cast(
        Declaration,
        evaluated(file, call, register=partial(Declaration, file=file, parameters=declared, hooks=hooks)),
    )


_library = Library("algorithm", ALGORITHMS, declarations)
builtin, find = _library.builtin, _library.find
