"""How pictures look: one style per arm in all of them, legible in grey and with any colour vision."""

from dataclasses import dataclass
from typing import Any

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

# Colours: Okabe and Ito's palette.
_INITIALISERS = {
    "vcore": Style("#D55E00", "o", "-"),
    "sft": Style("#0072B2", "s", "--"),
    "dft": Style("#009E73", "^", "-."),
    "iw_sft": Style("#CC79A7", "D", ":"),
    "random": Style("#E69F00", "v", (0, (5, 1))),
    "none": Style("#404040", "P", (0, (3, 1, 1, 1))),
}
_OTHER = Style("#56B4E9", "X", "-")


def style_of(init: str, rl: str) -> Style:
    """The initialiser's style; under another algorithm than GRPO it is paler."""
    style = _INITIALISERS.get(init, _OTHER)
    return style if rl == "grpo" else Style(style.colour, style.marker, style.line, 0.5)
