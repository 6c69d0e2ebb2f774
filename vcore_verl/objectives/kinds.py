"""Kinds of token in the traces of built-in tasks, known exactly because the traces are generated."""

KINDS = (
    "markup",  # <think> and </think>
    "step",  # copied parts of the problem, operators, the opening of the box
    "value",  # the result of a line
    "hasty",  # the result of a hard operation that was not worked out
    "choice_careful",  # the token that starts working out an operation
    "choice_hasty",  # the token that skips working it out
    "filler",
    "mistake",
    "false_start",
    "verify",  # ok, no
    "leak",  # the answer, given before it is worked out
    "answer",
    "end of sequence",  # the end token, which has no text
)
