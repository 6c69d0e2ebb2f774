"""How pictures look: one style per arm in all of them, legible in grey and with any colour vision."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any

from vcore_verl.config.errors import RecipeError
from vcore_verl.config.objectives import find
from vcore_verl.config.recipe import NONE

WIDTH = 7.0  # inches: a page's text width
GREY = "#707070"

RC: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": 160,
    "savefig.bbox": "tight",
}


@dataclass(frozen=True)
class Style:
    """Shape and line style tell what colour tells."""

    colour: str
    marker: str
    line: Any
    alpha: float = 1.0


ORIGINAL = Style(GREY, "*", ":")

# For objectives that declare none: Tol's muted palette, beside Okabe and Ito's of those that do.
_COLOURS = ("#56B4E9", "#882255", "#117733", "#332288", "#AA4499", "#999933", "#88CCEE")
_MARKERS = ("X", "<", ">", "p", "h", "d", "8", "H")
_NONE = Style("#404040", "P", (0, (3, 1, 1, 1)))
_LINES = {"o": "-", "s": "--", "^": "-.", "D": ":", "v": (0, (5, 1))}  # others alternate


def styles(arms: Iterable[tuple[str, str]], files: Mapping[str, str]) -> dict[tuple[str, str], Style]:
    """A style for each (init, rl) of one plot; under another algorithm than GRPO it is paler.

    An init, a variant of one (`init+variant`) being another, has the colour and marker that its objective declares, of
    which `files` holds the file where it is none of the package's, or ones that no other has.
    """
    arms = list(arms)
    found: dict[str, Style] = {}
    for init in sorted({init for init, _ in arms}):
        declared = _declared(init, files.get(init))
        if declared is not None and not _taken(declared, found):
            found[init] = declared
    free = (Style(colour, marker, "-") for colour, marker in _pairs())
    for number, init in enumerate(sorted({init for init, _ in arms} - set(found))):
        style = next(style for style in free if not _taken(style, found))
        found[init] = replace(style, line=list(_LINES.values())[number % len(_LINES)])
    return {(init, rl): found[init] if rl == "grpo" else replace(found[init], alpha=0.5) for init, rl in arms}


def _declared(init: str, file: str | None) -> Style | None:
    if init == NONE:
        return _NONE
    try:
        declaration = find(init, file)
    except RecipeError:  # a variant, or an objective whose file is elsewhere now
        return None
    if declaration.colour is None or declaration.marker is None:
        return None
    return Style(declaration.colour, declaration.marker, _LINES.get(declaration.marker, "-"))


def _pairs() -> Iterator[tuple[str, str]]:
    """Every colour with every marker, since their numbers have no common factor; at first both are new each time."""
    return zip(cycle(_COLOURS), islice(cycle(_MARKERS), len(_COLOURS) * len(_MARKERS)), strict=False)


def _taken(style: Style, found: Mapping[str, Style]) -> bool:
    return (style.colour, style.marker) in {(other.colour, other.marker) for other in found.values()}
