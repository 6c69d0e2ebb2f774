"""Metadata of a recipe's setting besides its type: effect, unit, range and source. Imports no torch."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """Metadata in the annotation of a parameter or field: `Annotated[type, Setting(...)]`.

    The bounds `low` and `high` are inclusive, `above` and `below` exclusive. With `choices`, a value must be one of
    them; with both, one of them or a number in the range. A list is valid if all its entries are; None always is.
    """

    effect: str = ""
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    source: str | None = None

    def refusal(self, value: Any) -> str | None:
        """Why `value` is not allowed, as the end of a sentence that begins with the value; None if it is allowed."""
        if value is None or value in self.choices:
            return None
        values = value if isinstance(value, list) else [value]
        numbers = [item for item in values if isinstance(item, int | float) and not isinstance(item, bool)]
        if self.choices and (not self._range() or len(numbers) < len(values)):
            number = f", or a number {self._range()}" if self._range() else ""
            return f"is not known; choose one of {', '.join(self.choices)}{number}"
        return None if all(map(self._contains, numbers)) else f"must be {self._range()}"

    def _contains(self, number: float) -> bool:
        """NaN fails every comparison, so it is in no range."""
        return (
            (self.low is None or number >= self.low)
            and (self.high is None or number <= self.high)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )

    def _range(self) -> str:
        bounds = {"at least": self.low, "above": self.above, "at most": self.high, "below": self.below}
        return " and ".join(f"{words} {bound:g}" for words, bound in bounds.items() if bound is not None)
