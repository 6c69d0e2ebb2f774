"""The section `init` as types: what the chosen objective's file declares, and its probe. Imports no torch."""

from dataclasses import dataclass, field, make_dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, cast

from omegaconf import MISSING

from vcore_verl.config.objectives import Declaration
from vcore_verl.setting import Setting

UNIFORM = ("sft", "ton")  # objectives with uniform weights
Placebo = Annotated[str | None, Setting("what is done to an objective's weights", choices=("shuffled",))]


@dataclass
class Probe:
    """How the utility of a token is measured: gradient, virtual update, derivative along it.

    Part of `init` if the objective needs utilities.
    """

    gradient: Annotated[
        str, Setting("from a separate batch, or the average of past training gradients", choices=("fresh", "running"))
    ] = "fresh"
    batch_size: Annotated[int, Setting("sequences of a fresh gradient", low=1, source="paper, section 5.1")] = 32
    cutoff_tokens: Annotated[
        int | None, Setting("tokens of such a sequence at most, from its beginning; null: all", low=2)
    ] = None
    update: Annotated[
        str, Setting("what the gradient is made into", choices=("sgd", "adam_step", "preconditioned"))
    ] = "sgd"
    derivative: Annotated[
        str, Setting("exact, or a one-sided or central difference", choices=("jvp", "forward", "central"))
    ] = "jvp"
    epsilon: Annotated[Any, Setting("step of a difference", unit="of the direction", above=0, choices=("auto",))] = (
        "auto"
    )
    clip_grad: Annotated[float | None, Setting("norm of the gradient at most; null: as in training", above=0)] = None
    every: Annotated[int, Setting("steps from one probe to the next; uniform weights between", low=1)] = 1


@dataclass
class Init:
    """The SFT objective that prepares the model for RL; `file` defines it if the package does not.

    This type, without settings, is for `init=none`; `init_section` derives the types with an objective's settings.
    """

    declaration: ClassVar[Declaration | None] = None

    name: str = MISSING
    file: str | None = None

    @property
    def probing(self) -> Probe | None:
        """`probe`, or None if the objective needs no utilities."""
        return getattr(self, "probe", None)

    @property
    def shuffled(self) -> bool:
        """Whether the objective's weights are permuted within each sequence, as a placebo."""
        return getattr(self, "placebo", None) == "shuffled"

    @property
    def needs(self) -> tuple[str, ...]:
        """What the objective reads besides the token losses, such as "reference"."""
        return self.declaration.needs if self.declaration else ()

    @property
    def settings(self) -> dict[str, Any]:
        """The objective's own settings, as its function takes them."""
        return {item.name: getattr(self, item.name) for item in self.declaration.parameters} if self.declaration else {}


@cache
def init_section(declaration: Declaration) -> type[Init]:
    """The type of `init` for an objective: its own settings, `probe` if it needs utilities, and `placebo` unless its
    weights are uniform.
    """
    own = [(item.name, Annotated[item.kind, item.setting], item.default) for item in declaration.parameters]
    probe = [("probe", Probe, field(default_factory=Probe))] if "utility" in declaration.needs else []
    placebo = [("placebo", Placebo, None)] if declaration.name not in UNIFORM else []
    made = make_dataclass("Init", [*own, *probe, *placebo], bases=(Init,), namespace={"declaration": declaration})
    return cast(type[Init], made)
