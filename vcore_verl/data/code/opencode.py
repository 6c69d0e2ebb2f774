"""Traces that end with a program: OpenCodeReasoning 1 and 2, and the code file of VCORE-data.

A row becomes a statement and a trace. The traces are DeepSeek-R1's: `<think>...</think>`, then one fenced block. The
column `solution` is that block's text, so it is never appended. Imports no torch.
"""

from dataclasses import dataclass

from reward.code.blocks import Language, program_block
from vcore_verl.data.code.templates import statement_of
from vcore_verl.data.funnel import Check
from vcore_verl.data.published import Published, Row

OCR_2 = "nvidia/OpenCodeReasoning-2"
OCR_1 = "nvidia/OpenCodeReasoning"
VCORE_DATA = "XanderGong/VCORE-data"

# Rows of a problem are adjacent, and there are some thirty of each: a prefix is no sample. `qwq_critique`, half of the
# bytes, is not among the columns that are read.
OCR_2_COLUMNS = ("r1_generation", "judgement", "pass_rate", "dataset", "split", "index", "question_id")
OCR_1_COLUMNS = ("input", "output", "source", "difficulty")
VCORE_COLUMNS = ("question", "cot")
OCR_2_SIZES = {"cpp": 1_174_475, "python": 1_398_166}
OCR_1_SIZE = 567_850
VCORE_SIZE = 3_200

OCR_2_CPP = Published(OCR_2, "cpp", "train", ("train/cpp/train-*.parquet",), projected=True)
OCR_2_PYTHON = Published(OCR_2, "python", "train", ("train/python/train-*.parquet",), projected=True)
OCR_1_SPLIT_0 = Published(OCR_1, "split_0", "split_0")
VCORE_CODE = Published(VCORE_DATA, "train", files=("code_train_format.json",))  # named in the paper's dataset_info.json

_NO_STATEMENT = "-"  # stands in `question` and `input` where the statement has to be joined


@dataclass(frozen=True)
class Solved:
    """A statement with a trace that solves it; `group` names the problem, of which one trace is drawn."""

    statement: str
    trace: str
    group: str
    names: frozenset[str] = frozenset()


def opencode_2(row: Row) -> Solved:
    """A row of `statements.Joined`."""
    return Solved(row["statement"], _text(row["r1_generation"]), row["question_id"], row["names"])


def opencode_1(row: Row) -> Solved:
    statement = _text(row["input"])
    statement = "" if statement == _NO_STATEMENT else statement
    return Solved(statement, _text(row["output"]), statement)


def vcore_code(row: Row) -> Solved:
    statement = statement_of(_text(row["question"]))
    return Solved(statement, _text(row["cot"]), statement)


# The paper's filter; an opinion of QwQ-32B, not an execution.
JUDGED_RIGHT = Check("judgement is not right", lambda row: row["judgement"] != "right")


def ends_with_program(language: Language) -> Check:
    """Fences occur in the thinking too; what counts is the last closed block after it."""
    return Check(
        "no program after the thinking", lambda row: program_block(row["r1_generation"] or "", language) is None
    )


def passing(rate: float) -> Check:
    """Solutions that passed at least this share of the tests they were run on; "-1" stands for none."""
    return Check(f"pass rate below {rate:g}, or not run", lambda row: not rate <= _rate(row["pass_rate"]) <= 1)


def _rate(text: str | None) -> float:
    try:
        return float(text or "-1")
    except ValueError:
        return -1.0


def _text(value: str | None) -> str:
    return (value or "").strip()
