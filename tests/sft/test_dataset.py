import math
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from reward.mathematics.extraction import extract_answer
from vcore_verl.builtin import tokenizer
from vcore_verl.builtin.laboratory import FAMILIAR
from vcore_verl.builtin.likelihood import log_probs
from vcore_verl.builtin.task import joined
from vcore_verl.objectives.kinds import KINDS
from vcore_verl.sft.dataset import SupervisedDataset, beginning

TOKENIZER = tokenizer.build()
ANSWER = "<think>1+2=3\n</think>\\boxed{3}"


def write(path: Path, *answers: str, prompt: str = "1+2=?") -> str:
    rows = [
        {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}
        for answer in answers
    ]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def test_a_response_is_rewritten_before_it_is_rendered(tmp_path: Path):
    data = SupervisedDataset(write(tmp_path / "a.parquet", ANSWER, ANSWER), TOKENIZER, {})
    data.rewrite(lambda response, index: response if index else "\\boxed{3}")
    texts = [TOKENIZER.decode(item["input_ids"][item["loss_mask"].bool()].tolist()) for item in (data[0], data[1])]
    assert texts == ["\\boxed{3}<|im_end|>", ANSWER + "<|im_end|>"]
    assert TOKENIZER.decode(data[0]["input_ids"][data[0]["answer_mask"].bool()].tolist()) == "3"


def test_the_traces_of_a_laboratory_tell_their_probabilities(tmp_path: Path):
    trace, prompt = "guess 2 5 # 3 = 2 \\boxed{ 2 }", "5 # 3 ?"
    data = SupervisedDataset(write(tmp_path / "a.parquet", trace, prompt=prompt), tokenizer.build(FAMILIAR.words), {})
    data.attach_behaviour()
    item = data[0]
    assert item["behaviour"][~item["loss_mask"].bool()].unique().tolist() == [0]
    found = item["behaviour"][item["loss_mask"].bool()].tolist()
    assert found == pytest.approx(log_probs(prompt, trace))
    assert found[0] == pytest.approx(math.log(0.3))


def test_exactly_the_answer_and_the_end_token_are_supervised(tmp_path: Path):
    item = SupervisedDataset(write(tmp_path / "a.parquet", ANSWER), TOKENIZER, {})[0]
    supervised = item["input_ids"][item["loss_mask"].bool()].tolist()
    assert TOKENIZER.decode(supervised) == ANSWER + "<|im_end|>"
    prompt = item["input_ids"][~item["loss_mask"].bool()].tolist()
    assert TOKENIZER.decode(prompt) == "<|user|>1+2=?<|im_end|><|assistant|>"


@pytest.mark.parametrize("suffix", ["", "\n", "<|endoftext|>"])
def test_a_template_that_strips_thoughts_or_adds_text_changes_nothing(tmp_path: Path, suffix: str):
    # Qwen3's template drops the <think> block of a lone assistant message and puts a newline after the end token.
    template = tokenizer.CHAT_TEMPLATE.replace(
        "message['content']", "message['content'].split('</think>')[-1]"
    ).replace("'<|im_end|>'", f"'<|im_end|>{suffix}'")
    stripped = tokenizer.build()
    stripped.chat_template = template
    item = SupervisedDataset(write(tmp_path / "a.parquet", ANSWER), stripped, {})[0]
    assert stripped.decode(item["input_ids"][item["loss_mask"].bool()].tolist()) == ANSWER + "<|im_end|>"


def test_answer_mask_is_the_inside_of_the_last_box(tmp_path: Path):
    text = "\\boxed{1} then \\boxed{\\frac{2}{3}} done"
    item = SupervisedDataset(write(tmp_path / "a.parquet", text), TOKENIZER, {})[0]
    assert TOKENIZER.decode(item["input_ids"][item["answer_mask"].bool()].tolist()) == "\\frac{2}{3}"


@pytest.mark.parametrize(
    "answer",
    [
        r"<think>a</think>\boxed{1+\boxed{2}}",
        r"<think>a</think>so \boxed{\left\{ 1, 2 \right.} it is",
        r"<think>a</think>\boxed{4} or \boxed{5",
        r"<think>\boxed{1}</think>\boxed{ 7 } done",
        r"<think>\boxed{1}</think>no box",
        r"<think>a</think>\boxed{}",
    ],
)
def test_answer_tokens_are_what_the_reward_reads(tmp_path: Path, answer: str):
    item = SupervisedDataset(write(tmp_path / "a.parquet", answer), TOKENIZER, {})[0]
    marked = TOKENIZER.decode(item["input_ids"][item["answer_mask"].bool()].tolist())
    assert (marked or None) == extract_answer(answer)


def test_too_long_examples_are_refused_or_cut(tmp_path: Path):
    file = write(tmp_path / "a.parquet", "9" * 50)
    with pytest.raises(ValueError, match=r"row 0 has 59 tokens, more than 20: raise data\.cutoff_tokens"):
        SupervisedDataset(file, TOKENIZER, {"max_length": 20})[0]
    cut = SupervisedDataset(file, TOKENIZER, {"max_length": 20, "truncation": "right"})[0]
    assert {len(cut[key]) for key in ("input_ids", "loss_mask", "position_ids", "answer_mask")} == {20}


def test_the_beginning_of_an_example_is_its_prompt_and_the_first_tokens_of_its_answer(tmp_path: Path):
    data = SupervisedDataset(write(tmp_path / "a.parquet", ANSWER), TOKENIZER, {})
    data.attach_reference([torch.zeros(len(data[0]["input_ids"]))])
    cut = beginning(data[0], 14)
    assert TOKENIZER.decode(cut["input_ids"].tolist()) == "<|user|>1+2=?<|im_end|><|assistant|><think>1+2=3"
    assert {len(cut[key]) for key in cut if key != "index"} == {14}
    assert cut["index"].tolist() == [0]
    whole = beginning(data[0], 1000)
    assert all(torch.equal(whole[key], data[0][key]) for key in data[0])


@pytest.mark.parametrize("tokens", [2, 8])
def test_a_prompt_that_leaves_no_room_is_kept_whole_with_one_token_of_the_answer(tmp_path: Path, tokens: int):
    cut = beginning(SupervisedDataset(write(tmp_path / "a.parquet", ANSWER), TOKENIZER, {})[0], tokens)
    assert TOKENIZER.decode(cut["input_ids"].tolist()) == "<|user|>1+2=?<|im_end|><|assistant|><think>"
    assert cut["loss_mask"].tolist() == [0] * 8 + [1]


def test_rows_without_an_answer_are_refused(tmp_path: Path):
    rows = [{"messages": [{"role": "user", "content": "1+2=?"}]}]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"row 0 of .* messages must be a prompt"):
        SupervisedDataset(str(tmp_path / "a.parquet"), TOKENIZER, {})[0]


def test_kinds_travel_with_their_tokens_where_they_are_asked_for(tmp_path: Path):
    trace = joined([("<think>", "markup"), ("1+2=3\n", "step"), ("</think>", "markup"), ("\\boxed{3}", "answer")])
    row = {
        "messages": [{"role": "user", "content": "1+2=?"}, {"role": "assistant", "content": trace.text}],
        "spans": [asdict(span) for span in trace.spans],
    }
    pyarrow.parquet.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    data = SupervisedDataset(str(tmp_path / "a.parquet"), TOKENIZER, {"max_length": 25, "truncation": "right"})
    assert "kind" not in data[0]
    data.attach_kinds()
    kinds = [KINDS[kind] for kind in data[0]["kind"][data[0]["loss_mask"].bool()]]
    assert kinds == ["markup", *["step"] * 6, "markup", *["answer"] * 9]
    data.max_length = 100
    assert KINDS[data[0]["kind"][-1]] == "end of sequence"


def test_reference_log_probabilities_travel_with_their_example(tmp_path: Path):
    data = SupervisedDataset(write(tmp_path / "a.parquet", "1", "22"), TOKENIZER, {})
    assert "reference_log_probs" not in data[1]
    data.attach_reference([torch.zeros(len(data[k]["input_ids"])) - k for k in range(2)])
    assert data[1]["reference_log_probs"].tolist() == [-1.0] * len(data[1]["input_ids"])
    assert data[1]["index"].tolist() == [1]
