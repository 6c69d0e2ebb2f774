"""Nested settings by dotted keys, and as Hydra overrides, as verl's programs take them. Imports no torch."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

# Keys that verl reads but does not list in its YAML must be added with "+", or Hydra rejects them.
ADD = "+"


def to_overrides(settings: Mapping[str, Any]) -> list[str]:
    """`{"a": {"b": 1, "+c": "x"}}` becomes `["a.b=1", "+a.c='x'"]`; everything below an added key is added too."""
    return [
        f"{ADD * any(part.startswith(ADD) for part in path)}{_dotted(path)}={_literal(value)}"
        for path, value in leaves(settings)
    ]


def merge(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Merge `changes` into `settings` recursively; a key is the same with and without "+"."""
    merged = dict(settings)
    for key, value in changes.items():
        present = next((other for other in merged if other.lstrip(ADD) == key.lstrip(ADD)), key)
        old = merged.get(present)
        merged[present] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key without "+" -> value; an empty section counts as a value."""
    return {_dotted(path): value for path, value in leaves(settings)}


def lookup(settings: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key of nested settings, None if absent; keys may have "+"."""
    return flat(settings).get(key)


def leaves(settings: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path and value of every leaf; an empty section is a leaf."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(part.lstrip(ADD) for part in path)


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(_literal(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        # In Hydra's grammar a backslash is literal unless it precedes a quote.
        escaped = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value)
        return f"'{escaped}'"
    return repr(value)
