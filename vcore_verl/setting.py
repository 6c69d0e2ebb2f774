"""What is known of one setting of a recipe beside its type: its effect, unit, range and source. Imports no torch."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """Stands in a parameter's or a field's `Annotated[type, Setting(...)]`.

    `low` and `high` belong to the range, `above` and `below` do not. With `choices` a value is one of them; with both,
    one of them or a number in the range. A list is in range where each of its entries is, and None always is.
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
        """Why `value` is not allowed, as the rest of a sentence that begins with it; None where it is."""
        if value is None or value in self.choices:
            return None
        values = value if isinstance(value, list) else [value]
        numbers = [item for item in values if isinstance(item, int | float) and not isinstance(item, bool)]
        if self.choices and (not self._range() or len(numbers) < len(values)):
            number = f", or a number {self._range()}" if self._range() else ""
            return f"is not known; choose one of {', '.join(self.choices)}{number}"
        return None if all(map(self._contains, numbers)) else f"must be {self._range()}"

    def _contains(self, number: float) -> bool:
        """Comparisons with NaN are false: it is in no range."""
        return (
            (self.low is None or number >= self.low)
            and (self.high is None or number <= self.high)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )

    def _range(self) -> str:
        bounds = {"at least": self.low, "above": self.above, "at most": self.high, "below": self.below}
        return " and ".join(f"{words} {bound:g}" for words, bound in bounds.items() if bound is not None)
