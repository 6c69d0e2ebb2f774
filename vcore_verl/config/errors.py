"""Input errors, reported in one line without a traceback."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The request cannot be carried out; the message is one line that says why and what to do."""


class RecipeError(InputError):
    """A recipe that cannot run; the message is one line that says what is wrong and what to do."""


def suggestion(word: str, known: Iterable[str], section: str = "") -> str:
    """The end of a message that suggests the known key of `section` closest to `word`; empty if none is close."""
    similar = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {section}{'.' * bool(section)}{similar[0]}?" if similar else ""
