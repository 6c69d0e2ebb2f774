"""Plot styles: the same style per arm in all plots, legible in greyscale and with colour blindness."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any

from vcore_verl.config.algorithms import DEFAULT
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
    """Marker and line style encode the same as colour."""

    colour: str
    marker: str
    line: Any
    alpha: float = 1.0


ORIGINAL = Style(GREY, "*", ":")

# For objectives that declare no colour: Tol's muted palette. The others declare colours from Okabe and Ito's.
_COLOURS = ("#56B4E9", "#882255", "#117733", "#332288", "#AA4499", "#999933", "#88CCEE")
_MARKERS = ("X", "<", ">", "p", "h", "d", "8", "H")
_NONE = Style("#404040", "P", (0, (3, 1, 1, 1)))
_RL_LINES = ((0, (1, 1)), (0, (4, 1, 1, 1)), (0, (6, 2)), (0, (2, 2, 6, 2)), (0, (1, 3)), (0, (8, 1, 2, 1)))
_LINES = {"o": "-", "s": "--", "^": "-.", "D": ":", "v": (0, (5, 1))}  # others alternate


def styles(arms: Iterable[tuple[str, str]], files: Mapping[str, str]) -> dict[tuple[str, str], Style]:
    """A style for each (init, rl) of one plot; paler for RL algorithms other than the default, each with its line.

    Each init has the colour and marker that its objective declares, or a unique pair; a variant (`init+variant`) is an
    init. `files` maps inits to the files of objectives outside the package.
    """
    arms = list(arms)
    declared = {init: _declared(init, files.get(init)) for init in sorted({init for init, _ in arms})}
    # Yields every colour with every marker, since their counts are coprime; the first pairs share neither.
    pairs = islice(zip(cycle(_COLOURS), cycle(_MARKERS), cycle(_LINES.values())), len(_COLOURS) * len(_MARKERS))
    found: dict[tuple[str, str], tuple[str, Style]] = {}  # by colour and marker
    for init in sorted(declared, key=lambda init: declared[init] is None):
        style = declared[init]
        while style is None or (style.colour, style.marker) in found:
            style = Style(*next(pairs))
        found[style.colour, style.marker] = init, style
    chosen = dict(found.values())
    others = sorted({rl for _, rl in arms} - {DEFAULT})
    lines = dict(zip(others, cycle((None, *_RL_LINES)), strict=False))  # one other algorithm needs no line of its own
    return {
        (init, rl): chosen[init]
        if rl == DEFAULT
        else replace(chosen[init], alpha=0.5, line=lines[rl] or chosen[init].line)
        for init, rl in arms
    }


def _declared(init: str, file: str | None) -> Style | None:
    if init == NONE:
        return _NONE
    try:
        declaration = find(init, file)
    except RecipeError:  # a variant, or an objective whose file has moved
        return None
    if declaration.colour is None or declaration.marker is None:
        return None
    return Style(declaration.colour, declaration.marker, _LINES.get(declaration.marker, "-"))
