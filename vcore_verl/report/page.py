"""report.html: one self-contained file with every table and picture, and a reader for prompts and responses.

All text that a model or a data set wrote is escaped; the file loads nothing from elsewhere.
"""

import base64
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from vcore_verl.report.collect import Collection
from vcore_verl.report.compare import Comparison
from vcore_verl.report.markdown import CAPTIONS, conditions, cost_table, notes, pairwise_table, seeds_table
from vcore_verl.report.rows import HEADER, rows
from vcore_verl.report.scores import Answer, Asked, read_responses
from vcore_verl.report.transitions import Example, Transition
from vcore_verl.report.view import checkpoints
from vcore_verl.report.wording import answer

_PROMPTS_TO_READ = 40  # a data set, those whose accuracy differs most between checkpoints
_RESPONSE_CHARS = 4000


def page(collection: Collection, comparison: Comparison, pictures: Sequence[Path]) -> str:
    """The whole document."""
    sections = [
        f"<h1>{escape(comparison.name)}: what SFT and RL brought</h1>",
        f'<p class="answer">{escape(answer(comparison))}</p>',
        *(_section(f"{name} ({count} prompts)", _main_table(comparison, name)) for name, count in _sizes(comparison)),
        f"<p>{escape(notes(comparison))}</p>",
        *map(_picture, pictures),
        _optional("Initialisers against each other", pairwise_table(comparison)),
        _optional("Spread over training seeds", seeds_table(comparison)),
        _changes(comparison.transitions),
        _optional("What it took", cost_table(comparison)),
        _section("Read prompts and responses", _READER) if comparison.arms or comparison.base else "",
        _excluded(comparison),
        _section("Conditions", _list(conditions(comparison))),
    ]
    style, script = (files(__package__).joinpath(name).read_text() for name in ("page.css", "page.js"))
    # "</" would end the script element early, whatever the JSON around it says.
    data = json.dumps(_to_read(collection)).replace("</", "<\\/")
    head = f'<meta charset="utf-8"><title>{escape(comparison.name)}</title><style>{style}</style>'
    scripts = f'<script type="application/json" id="responses">{data}</script><script>{script}</script>'
    body = "\n".join(filter(None, sections))
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{body}\n</main>{scripts}</body></html>\n'
    )


_READER = (
    '<p><label>data set <select id="dataset"></select></label> <label>prompt <select id="prompt"></select></label></p>'
    '<div id="reader"></div>'
)


def _sizes(comparison: Comparison) -> list[tuple[str, int]]:
    return list(comparison.conditions["datasets"].items())


def _main_table(comparison: Comparison, dataset: str) -> str:
    shown = list(rows(comparison, dataset))
    marks = ["arm" if row.starts_arm else "" for row in shown]
    return _table(HEADER, [row.cells() for row in shown], marks)


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _optional(title: str, table: tuple[Sequence[str], Sequence[Sequence[str]], str] | None) -> str:
    if table is None:
        return ""
    header, lines, note = table
    return _section(title, f"{_table(header, lines)}<p>{escape(note)}</p>")


def _table(header: Sequence[str], lines: Sequence[Sequence[str]], marks: Sequence[str] = ()) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        f'<tr class="{mark}">' + "".join(f"<td>{escape(cell.strip('`'))}</td>" for cell in line) + "</tr>"
        for line, mark in zip(lines, marks or [""] * len(lines), strict=True)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _picture(path: Path) -> str:
    caption = escape(CAPTIONS[path.stem])
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}.</figcaption></figure>'
    )


def _changes(changes: Sequence[Transition]) -> str:
    if not changes:
        return ""
    header = ("arm", "data set", "solved before and after", "lost", "gained", "solved neither time")
    lines = [
        (f"{item.arm}, seed {item.seed}", item.dataset, *map(str, (item.both, item.lost, item.gained, item.neither)))
        for item in changes
    ]
    note = "<p>Before and after RL. Solved: at least half of the samples are correct.</p>"
    return _section("Prompts gained and lost by RL", _table(header, lines) + note + "".join(map(_examples, changes)))


def _examples(item: Transition) -> str:
    lost = "".join(_example(example, "lost") for example in item.lost_examples)
    gained = "".join(_example(example, "gained") for example in item.gained_examples)
    if not lost + gained:
        return ""
    return f"<details><summary>{escape(f'{item.arm} on {item.dataset}: examples')}</summary>{lost}{gained}</details>"


def _example(example: Example, change: str) -> str:
    head = f"<h3>{change}: {escape(example.prompt_id)} (answer {escape(example.gold)})</h3>"
    sides = "".join(
        f"<div><b>{when}: {escape(found.status)}</b><pre>{escape(found.text[:_RESPONSE_CHARS])}</pre></div>"
        for when, found in (("before RL", example.before), ("after RL", example.after))
    )
    return f'{head}<pre>{escape(example.prompt)}</pre><div class="sides">{sides}</div>'


def _excluded(comparison: Comparison) -> str:
    if not comparison.excluded:
        return ""
    return _section("Left out", _list([f"{item.name}: {item.reason}" for item in comparison.excluded]))


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def _to_read(collection: Collection) -> dict[str, list[dict[str, Any]]]:
    """Data set -> prompts with one response of every checkpoint: the greedy one where there is one."""
    return {dataset: _prompts_to_read(collection, dataset) for dataset in collection.reference.datasets}


def _prompts_to_read(collection: Collection, dataset: str) -> list[dict[str, Any]]:
    shown = list(checkpoints(collection))
    prompt_ids = shown[0][1].datasets[dataset].prompt_ids
    means = [evaluation.datasets[dataset].score_PS.mean(axis=1) for _, evaluation in shown]
    spread = {
        name: max(column) - min(column) for name, column in zip(prompt_ids, zip(*means, strict=True), strict=True)
    }
    chosen = sorted(prompt_ids, key=lambda name: (-spread[name], name))[:_PROMPTS_TO_READ]
    answers = [(label, read_responses(evaluation, dataset, chosen)) for label, evaluation in shown]
    return [
        {
            "id": name,
            "prompt": answers[0][1][name].prompt,
            "gold": answers[0][1][name].gold,
            "answers": [_answer(label, asked[name]) for label, asked in answers],
        }
        for name in chosen
    ]


def _answer(label: str, asked: Asked) -> dict[str, Any]:
    first: Answer = asked.answers[0]
    return {
        "label": label,
        "share": asked.solved_share,
        "status": first.status,
        "decoding": first.decoding,
        "tokens": first.num_tokens,
        "text": first.text[:_RESPONSE_CHARS] + (" [...]" if len(first.text) > _RESPONSE_CHARS else ""),
    }
