"""One self-contained web page of training examples whose tokens are coloured by weight."""

import html
import math
import statistics
from dataclasses import dataclass

from scipy.stats import t as student


@dataclass
class WeightedExample:
    """A training example: its prompt and, per supervised token, the text, weight w_t, loss l_t (nats) and kind, if
    known.
    """

    prompt: str
    tokens: list[str]
    weights: list[float]
    losses: list[float]
    kinds: list[str] | None


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1rem; color: #222; }
.arms { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 1.5rem; }
.tokens { font: 14px/1.9 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.tokens span { border-radius: 2px; }
table { border-collapse: collapse; } td, th { padding: .15rem .8rem; text-align: right; }
th:first-child { text-align: left; }
"""
# Colours saturate at weights of 2**-3 and 2**3.
_STRONGEST = 3.0


def weights_page(arms: dict[str, list[WeightedExample]], shown: int) -> str:
    """HTML of the first `shown` examples; `arms` maps titles to the same examples weighted by different objectives."""
    body = [_kinds(arms)] if all(example.kinds for examples in arms.values() for example in examples) else []
    for columns in list(zip(*arms.values(), strict=True))[:shown]:
        body.append(f"<h2>{html.escape(columns[0].prompt)}</h2><div class=arms>")
        for title, example in zip(arms, columns, strict=True):
            body.append(f"<div><h3>{html.escape(title)}</h3><div class=tokens>{_tokens(example)}</div></div>")
        body.append("</div>")
    scale = f"{_span('weight below 1', 0.25, '')} {_span('weight above 1', 4, '')}"
    legend = f"<p>{scale}; point at a token for its numbers.</p>"
    return (
        f"<!doctype html><meta charset=utf-8><title>Token weights</title><style>{STYLE}</style>{legend}{''.join(body)}"
    )


def _tokens(example: WeightedExample) -> str:
    kinds = example.kinds or [""] * len(example.tokens)
    rows = zip(example.tokens, example.weights, example.losses, kinds, strict=True)
    spans = (_span(text, weight, f"weight {weight:.3f}, loss {loss:.3f} {kind}") for text, weight, loss, kind in rows)
    return "".join(spans)


def _span(text: str, weight: float, title: str) -> str:
    strength = max(-1.0, min(1.0, math.log2(max(weight, 1e-9)) / _STRONGEST))
    colour = "230,120,20" if strength > 0 else "40,110,220"
    shown = html.escape(text).replace("\n", "↵\n")
    return f'<span style="background:rgba({colour},{abs(strength):.2f})" title="{html.escape(title)}">{shown}</span>'


def _kinds(arms: dict[str, list[WeightedExample]]) -> str:
    """Table of the mean weight of each kind of token relative to the sequence's mean weight: mean and 95 % interval."""
    kinds = sorted({kind for examples in arms.values() for e in examples for kind in e.kinds or []})
    head = "".join(f"<th>{html.escape(title)}</th>" for title in arms)
    rows = []
    for kind in kinds:
        cells = "".join(f"<td>{_interval(relative_weights(examples, kind))}</td>" for examples in arms.values())
        rows.append(f"<tr><th>{html.escape(kind)}</th>{cells}</tr>")
    caption = "<h2>Mean weight by kind of token, relative to the sequence's mean weight</h2>"
    return f"{caption}<table><tr><th>kind</th>{head}</tr>{''.join(rows)}</table>"


def relative_weights(examples: list[WeightedExample], kind: str) -> list[float]:
    """Mean weight of tokens of `kind` over the mean weight of all tokens, for each sequence that has such tokens."""
    found = []
    for example in examples:
        chosen = [w for w, k in zip(example.weights, example.kinds or [], strict=True) if k == kind]
        if chosen and sum(example.weights) > 0:
            found.append(statistics.mean(chosen) / statistics.mean(example.weights))
    return found


def _interval(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.2f}" if values else ""
    half = student.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):.2f} ± {half:.2f} ({len(values)})"
