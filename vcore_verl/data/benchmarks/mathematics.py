"""The paper's benchmarks of mathematics (Tables 2 and 8, appendix E), including BigMath's held-out slice."""

import hashlib
import zlib

from vcore_verl.data.benchmarks.declaration import AnswerBenchmark, Problem
from vcore_verl.data.published import BIG_MATH, BIG_MATH_OPEN, Published, Row
from vcore_verl.data.rows import user
from vcore_verl.data.templates import LETTERS, math, multiple_choice

_BIG_MATH_BUCKETS, _BIG_MATH_HELD_OUT = 1000, 4  # about 1,000 of 251,122 problems, of which 500 are drawn


def held_out(problem: str) -> bool:
    """Whether a BigMath problem is held out for testing and must be excluded from training."""
    return zlib.crc32(" ".join(problem.split()).encode()) % _BIG_MATH_BUCKETS < _BIG_MATH_HELD_OUT


def _aime(row: Row, position: int) -> Problem:
    answer = str(row["answer"]).strip().lstrip("0") or "0"  # printed as 000-999; a model writes 70
    return Problem(f"aime-{row.get('year', '2025')}-{row['id']}", user(math(row["problem"])), answer)


def _olympiad(row: Row, position: int) -> Problem:
    answer = row["final_answer"][0].strip().strip("$")
    return Problem(f"olympiad-{row.get('id', position)}", user(math(row["question"])), answer)


def _rbench(row: Row, position: int) -> Problem:
    prompt = user(multiple_choice(row["question"], [row[letter] for letter in LETTERS[:6]]))
    return Problem(f"rbench-{row['index']}", prompt, row["answer"].strip())


def _supergpqa(row: Row, position: int) -> Problem:
    if len(row["options"]) > len(LETTERS):
        raise ValueError(
            f"SuperGPQA {row['uuid']} has {len(row['options'])} options, but there are only {len(LETTERS)} letters"
        )
    prompt = user(multiple_choice(row["question"], row["options"]))
    return Problem(f"supergpqa-{row['uuid']}", prompt, row["answer_letter"].strip())


def _math500(row: Row, position: int) -> Problem:
    return Problem(f"math500-{row['unique_id']}", user(math(row["problem"])), row["answer"])


def _gsm8k(row: Row, position: int) -> Problem:
    gold = row["answer"].rpartition("####")[2].strip().replace(",", "")
    return Problem(f"gsm8k-{position}", user(math(row["question"])), gold)


def _big_math(name: str, published: Published, problem: str, answer: str) -> AnswerBenchmark:
    """500 of the held-out problems; `problem` and `answer` are their columns."""

    def to_problem(row: Row, position: int) -> Problem:
        digest = hashlib.sha256(row[problem].encode()).hexdigest()[:12]
        return Problem(f"bigmath-{digest}", user(math(row[problem])), str(row[answer]))

    return AnswerBenchmark(
        name=name,
        sources=(published,),
        columns=(problem, answer, "source"),
        problem=to_problem,
        size=500,
        data_source=BIG_MATH.hub_id,
        keep=lambda row: held_out(row[problem]),
        distinct=problem,
        stratified_by="source",
    )


MATHEMATICS = (
    AnswerBenchmark(
        name="aime",
        sources=(Published("HuggingFaceH4/aime_2024", "train"), Published("math-ai/aime25", "test")),
        columns=("id", "problem", "answer"),
        problem=_aime,
        size=60,
        data_source="aime",
    ),
    AnswerBenchmark(
        name="olympiad",
        sources=(Published("Hothan/OlympiadBench", "train", "OE_TO_maths_en_COMP"),),
        columns=("question", "final_answer"),
        problem=_olympiad,
        size=674,
        data_source="olympiadbench",
    ),
    AnswerBenchmark(
        name="rbench",
        sources=(Published("R-Bench/R-Bench", "test", "rbench-t_en"),),
        columns=("index", "question", *LETTERS[:6], "answer"),
        problem=_rbench,
        size=1094,
        data_source="rbench",
    ),
    AnswerBenchmark(
        name="supergpqa_1k",
        sources=(Published("m-a-p/SuperGPQA", "train"),),
        columns=("uuid", "question", "options", "answer_letter", "discipline"),
        problem=_supergpqa,
        size=1000,
        data_source="supergpqa",
        stratified_by="discipline",
    ),
    AnswerBenchmark(
        name="math500",
        sources=(Published("HuggingFaceH4/MATH-500", "test"),),
        columns=("unique_id", "problem", "answer"),
        problem=_math500,
        size=500,
        data_source="HuggingFaceH4/MATH-500",
    ),
    AnswerBenchmark(
        name="gsm8k",
        sources=(Published("openai/gsm8k", "test", "main"),),
        columns=("question", "answer"),
        problem=_gsm8k,
        size=1319,
        data_source="openai/gsm8k",
    ),
    _big_math("big_math", BIG_MATH, "problem", "answer"),
    _big_math("big_math_open", BIG_MATH_OPEN, "prompt", "solution"),
)
