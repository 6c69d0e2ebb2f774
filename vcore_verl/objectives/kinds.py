"""Kinds of token in the traces of built-in tasks, which are known because the traces are made here."""

KINDS = (
    "markup",  # <think> and </think>
    "step",  # copies of the problem, operators, the box's opening
    "value",  # the result of a line
    "hasty",  # the same, of an operation that is hard to do at once
    "choice_careful",  # the token with which a line begins to work the operation out
    "choice_hasty",  # the token with which it does not
    "filler",
    "mistake",
    "false_start",
    "verify",  # ok, no
    "leak",  # the answer before it was worked out
    "answer",
    "end of sequence",  # its token, which is no text
)
