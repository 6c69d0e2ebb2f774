"""The style of the plots: one per arm in all of them, legible in grey and with any colour vision."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any

from vcore_verl.config.errors import RecipeError
from vcore_verl.config.objectives import find
from vcore_verl.config.schema import NONE

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

# For objectives that declare none: Tol's muted palette; the others declare colours of Okabe and Ito's.
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
    declared = {init: _declared(init, files.get(init)) for init in sorted({init for init, _ in arms})}
    # Every colour with every marker, since their numbers have no common factor; at first both are new each time.
    pairs = islice(zip(cycle(_COLOURS), cycle(_MARKERS), cycle(_LINES.values())), len(_COLOURS) * len(_MARKERS))
    found: dict[tuple[str, str], tuple[str, Style]] = {}  # by colour and marker
    for init in sorted(declared, key=lambda init: declared[init] is None):
        style = declared[init]
        while style is None or (style.colour, style.marker) in found:
            style = Style(*next(pairs))
        found[style.colour, style.marker] = init, style
    chosen = dict(found.values())
    return {(init, rl): chosen[init] if rl == "grpo" else replace(chosen[init], alpha=0.5) for init, rl in arms}


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
