"""What is told to a person in one line, without a traceback."""


class InputError(ValueError):
    """What was asked for cannot be done; the message is one line that says why and what to do."""
