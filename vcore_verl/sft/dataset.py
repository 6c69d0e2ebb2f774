"""Supervised examples with exact loss masks for verl's SFT trainer; `data.rendering` makes the tokens."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow.parquet
import torch
from torch import Tensor
from torch.utils.data import Dataset

from reward.spans import ANSWER_SPANS
from vcore_verl.builtin.likelihood import log_probs
from vcore_verl.data.rendering import Rendering, RenderingError, render
from vcore_verl.objectives.kinds import KINDS


class SupervisedDataset(Dataset):
    """Rows of Parquet files with `messages` (the last from the assistant), with the signature of verl's
    `data.custom_cls`.

    The tensors of an item have the length L of prompt plus response: int64 `input_ids`, `position_ids`, `loss_mask` and
    `answer_mask` (the tokens that the reward reads as the answer). `index` is int64 of shape (1,). `attach_reference`
    adds `reference_log_probs`, float32: log-probabilities of the NEXT token, like verl's model outputs. `attach_kinds`
    adds `kind`, int64: the token's index in `KINDS` (0 in the prompt). `attach_behaviour` adds `behaviour`, float32:
    the token's log-probability under the mixture that wrote a laboratory's traces (0 in the prompt).

    Raises `RenderingError` for rows that cannot be rendered, and ValueError for sequences longer than
    `config.max_length` unless `config.truncation` is "right".
    """

    def __init__(
        self,
        parquet_files: str | list[str],
        tokenizer: Any,
        config: Mapping[str, Any],
        processor: Any = None,
        max_samples: int = -1,
    ):
        if processor is not None:
            raise ValueError("only text models are supported: this model has an image or video processor")
        self.tokenizer = tokenizer
        self.max_length = config.get("max_length", 1024)
        self.truncate = config.get("truncation", "error") == "right"
        self.template_kwargs = dict(config.get("apply_chat_template_kwargs") or {})
        self.files = [parquet_files] if isinstance(parquet_files, str) else [str(file) for file in parquet_files]
        self.messages = self._column(config.get("messages_key", "messages"))
        named = all("ability" in pyarrow.parquet.read_schema(file).names for file in self.files)
        self.domains = self._column("ability") if named else ["math"] * len(self.messages)
        if max_samples > 0:
            self.messages = self.messages[:max_samples]
        self.reference: list[Tensor] | None = None
        self.spans: list[list[dict[str, Any]]] | None = None
        self.behaviour: list[list[float]] | None = None

    def _column(self, name: str) -> list[Any]:
        tables = (pyarrow.parquet.read_table(file, columns=[name]) for file in self.files)
        return [row for table in tables for row in table[name].to_pylist()]

    def __len__(self) -> int:
        return len(self.messages)

    def rewrite(self, change: Callable[[str, int], str]) -> None:
        """Replace each example's response by `change(response, index)`, before anything is attached."""
        for index, (*asked, answer) in enumerate(self.messages):
            self.messages[index] = [*asked, answer | {"content": change(answer["content"], index)}]

    def attach_reference(self, log_probs: list[Tensor]) -> None:
        """Add each example's log-probabilities under the initial model, one tensor of length L per example."""
        self.reference = log_probs

    def attach_kinds(self) -> None:
        """Add the kind of each token, from the column `spans` in the rows of built-in tasks."""
        self.spans = self._column("spans")

    def attach_behaviour(self) -> None:
        """Add the log-probability of each token under the mixture that wrote the traces, which are a laboratory's."""
        self.behaviour = [log_probs(asked["content"], trace["content"]) for asked, trace in self.messages]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        messages = self.messages[index]
        try:
            rendering = render(self.tokenizer, messages, self.template_kwargs)
        except RenderingError as error:
            raise RenderingError(f"row {index} of {self.files}: {error}") from error
        start, end = ANSWER_SPANS[self.domains[index]](messages[-1]["content"]) or (0, 0)
        answer = [first < end and last > start for first, last in rendering.offsets]

        prompt_length = rendering.prompt_length
        input_ids = torch.tensor(rendering.input_ids)
        answer_mask = torch.tensor([*[0] * prompt_length, *map(int, answer)])
        loss_mask = torch.ones_like(input_ids)
        loss_mask[:prompt_length] = 0
        length = len(input_ids)
        if length > self.max_length:
            if not self.truncate:
                raise ValueError(
                    f"row {index} has {length} tokens, more than {self.max_length}: "
                    "raise data.cutoff_tokens or filter the data"
                )
            length = self.max_length
        item = {
            "input_ids": input_ids[:length],
            "position_ids": torch.arange(length),
            "loss_mask": loss_mask[:length],
            "answer_mask": answer_mask[:length],
            "index": torch.tensor([index]),
        }
        if self.reference is not None:
            item["reference_log_probs"] = self.reference[index]
        if self.spans is not None:
            kinds = [KINDS.index(kind) for kind in token_kinds(rendering, self.spans[index])]
            item["kind"] = torch.tensor([*[0] * prompt_length, *kinds])[:length]
        if self.behaviour is not None:
            item["behaviour"] = torch.tensor([*[0.0] * prompt_length, *self.behaviour[index]])[:length]
        return item


def beginning(item: dict[str, Tensor], tokens: int) -> dict[str, Tensor]:
    """Truncate an item to `tokens` tokens: its prompt and as much of the response as fits.

    A prompt is never cut, since that would change the context of the response. If it leaves no room, the whole prompt
    and the first token of the response are kept.
    """
    supervised = item["loss_mask"].nonzero().flatten().tolist()
    kept = max(tokens, supervised[0] + 1) if supervised else tokens
    return {name: tensor if name == "index" else tensor[:kept] for name, tensor in item.items()}


def token_kinds(rendering: Rendering, spans: Sequence[Mapping[str, Any]]) -> list[str]:
    """The kind of each supervised token: that of its first character (`builtin.task.Span`), or "end of sequence" for
    the last token.
    """
    starts = [start for start, _ in rendering.offsets[:-1]]
    return [
        *(next(span["kind"] for span in spans if span["start"] <= start < span["end"]) for start in starts),
        "end of sequence",
    ]
