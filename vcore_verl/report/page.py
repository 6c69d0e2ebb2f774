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
from vcore_verl.report.figures import Comparison
from vcore_verl.report.markdown import CAPTIONS, conditions, details, excluded, notes
from vcore_verl.report.scores import Answer, Asked, read_responses
from vcore_verl.report.tables import Table, main_table
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
        *(
            _section(f"{name} ({count} prompts)", _table(main_table(comparison, name)))
            for name, count in _sizes(comparison)
        ),
        f"<p>{escape(notes(comparison))}</p>",
        *map(_picture, pictures),
        *(_section(title, _table(table)) for title, table in details(comparison)),
        _optional("Responses before and after RL", "".join(map(_examples, comparison.transitions))),
        _section("Read prompts and responses", _READER) if comparison.arms or comparison.base else "",
        _optional("Left out", _list(excluded(comparison))),
        _optional("Trained differently", _list(comparison.trained_differently)),
        _section("Conditions", _list(conditions(comparison))),
        _optional("The same again", _code(comparison.commands)),
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


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _optional(title: str, content: str) -> str:
    return _section(title, content) if content else ""


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell.strip('`'))}</td>" for cell in line) + "</tr>" for line in table.lines
    )
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}'


def _picture(path: Path) -> str:
    caption = escape(CAPTIONS[path.stem])
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}.</figcaption></figure>'
    )


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


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>" if items else ""


def _code(lines: Sequence[str]) -> str:
    return f"<pre>{escape(chr(10).join(lines))}</pre>" if lines else ""


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
