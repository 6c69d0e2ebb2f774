"""The paper's prompt templates, verbatim (appendix C.1 and C.3); blank lines as far as its typesetting shows them."""

from collections.abc import Sequence

from vcore_verl.data.code import templates as code

_MATH = """You are a helpful and accurate assistant for solving the following math problem:
{question}

Please reason step by step, and put the correct answer within \\boxed{{}} at last."""

_MULTIPLE_CHOICE = """You are a helpful and accurate assistant for solving the following multiple-choice question:
{question}

Options are:
{options}

Please reason step by step, and put the correct answer within \\boxed{{}} at last."""

LETTERS = "ABCDEFGHIJ"


def math(question: str) -> str:
    """Appendix C.1, "Math CoT Training Data Template", also used in evaluation (C.3)."""
    return _MATH.format(question=question.strip())


def multiple_choice(question: str, options: Sequence[str]) -> str:
    """Appendix C.3, "Multiple-Choice Benchmark Evaluation Template"; options are lettered from A."""
    lettered = "\n".join(f"({letter}): {option.strip()}" for letter, option in zip(LETTERS, options, strict=False))
    return _MULTIPLE_CHOICE.format(question=question.strip(), options=lettered)


def question_of(prompt: str) -> str:
    """The question in `prompt` if it was made from a template of this package, else the prompt itself."""
    for template in (_MATH, _MULTIPLE_CHOICE):
        before, _, after = template.format(question="\0", options="\0").partition("\0")
        after = after.partition("\0")[0]
        if prompt.startswith(before.rstrip()) and after.strip() in prompt:
            return prompt[len(before.rstrip()) :].rpartition(after.strip())[0].strip()
    return code.statement_of(prompt)
