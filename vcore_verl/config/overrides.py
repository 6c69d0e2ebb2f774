"""Nested settings as Hydra overrides, the form in which verl's programs take their configuration. Imports no torch."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

# Keys that verl reads but does not list in its YAML must be added with "+", or Hydra refuses them.
ADD = "+"


def to_overrides(settings: dict[str, Any], prefix: str = "") -> list[str]:
    """`{"a": {"b": 1, "+c": "x"}}` becomes `["a.b=1", "+a.c='x'"]`.

    A key that starts with "+" is added to verl's configuration.
    """
    return [f"{key}={_literal(value)}" for key, value in _flatten(settings, prefix)]


def merge(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`settings` with `changes` on top, nested; a key with and without "+" is the same key."""
    merged = dict(settings)
    for key, value in changes.items():
        present = next((other for other in merged if other.lstrip(ADD) == key.lstrip(ADD)), key)
        old = merged.get(present)
        merged[present] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys, without "+", and their values; an empty section is a value."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        inner = flat(value) if isinstance(value, Mapping) and value else {"": value}
        found |= {f"{key.lstrip(ADD)}.{rest}".rstrip("."): item for rest, item in inner.items()}
    return found


def lookup(settings: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key of nested settings, None where there is none; keys may carry "+"."""
    first, _, rest = key.partition(".")
    value = next((item for name, item in settings.items() if name.lstrip(ADD) == first), None)
    return lookup(value, rest) if rest and isinstance(value, Mapping) else None if rest else value


def _flatten(settings: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        added = ADD if key.startswith(ADD) or prefix.startswith(ADD) else ""
        path = added + ".".join(part for part in (prefix.lstrip(ADD), key.lstrip(ADD)) if part)
        if isinstance(value, dict) and value:
            yield from _flatten(value, path)
        else:
            yield path, value


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
        # In Hydra's grammar a backslash is literal unless it stands before a quote.
        escaped = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value)
        return f"'{escaped}'"
    return repr(value)
