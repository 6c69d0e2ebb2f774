"""Mistakes that are reported to a person in one line, without a traceback."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """What was asked for cannot be done; the message is one line that says why and what to do."""


class RecipeError(InputError):
    """A recipe that cannot run; the message is one line that says what is wrong and what to do."""


def suggestion(word: str, known: Iterable[str], section: str = "") -> str:
    """A hint at the known key of `section` that is like `word`, as the rest of a message; empty where none is."""
    similar = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {section}{'.' * bool(section)}{similar[0]}?" if similar else ""
