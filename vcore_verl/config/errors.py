"""Mistakes that are reported to a person in one line, without a traceback."""


class InputError(ValueError):
    """What was asked for cannot be done; the message is one line that says why and what to do."""


class RecipeError(InputError):
    """A recipe that cannot run; the message is one line that says what is wrong and what to do."""
