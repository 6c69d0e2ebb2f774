"""Conversations as token ids; exactly the response and the end-of-sequence token are supervised.

The prompt is rendered as for generation (`add_generation_prompt`) and tokenized separately from the response. Rendering
the whole conversation would lose the reasoning: the templates of Qwen3 and of DeepSeek's distilled models remove
<think>...</think> from assistant messages, and verl's data set, which renders message by message
(verl/utils/dataset/multiturn_sft_dataset.py:294), supervises what a template puts after the end token.

The end-of-sequence token is the one with which the chat template closes an assistant's turn, not the tokenizer's EOS,
which in base checkpoints is the end of a document. The export writes it to the generation config, so that vLLM stops
at the trained token. Imports no torch.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError

from vcore_verl.config.errors import InputError

THINK, END_THINK = "<think>", "</think>"
_PROBE = "response"


class RenderingError(InputError):
    """A conversation or a tokenizer that cannot be rendered; the message says what to do."""


@dataclass(frozen=True)
class Rendering:
    """`input_ids` of prompt, response and end-of-sequence token; those from `prompt_length` on are supervised.

    `offsets` are the character range [start, end) of each supervised token in the response's `content`; (0, 0) for the
    end-of-sequence token.
    """

    input_ids: list[int]
    prompt_length: int
    offsets: list[tuple[int, int]]


def render(tokenizer: Any, messages: list[dict[str, str]], template_kwargs: dict[str, Any] | None = None) -> Rendering:
    """`messages`, ending with the assistant's, as token ids.

    If the generation prompt already opens <think>, the response does not open it again. No BOS is added to the
    template's. Raises `RenderingError` if the tokenizer has no character offsets or no chat template, if the template
    rejects the conversation, or if its generation prompt and the response disagree on whether there is reasoning.
    """
    if not messages or messages[-1]["role"] != "assistant" or len(messages) < 2:
        raise RenderingError("messages must be a prompt and then the assistant's answer")
    if not tokenizer.is_fast:
        raise RenderingError("the model's tokenizer has no character offsets: a fast tokenizer is needed")
    *prompt, response = messages
    prompt_text = render_prompt(tokenizer, prompt, template_kwargs)
    prompt_ids = tokenizer(prompt_text, add_special_tokens=False)["input_ids"]
    skipped = _opened(prompt_text, response["content"])
    encoded = tokenizer(response["content"][skipped:], add_special_tokens=False, return_offsets_mapping=True)
    return Rendering(
        input_ids=[*prompt_ids, *encoded["input_ids"], end_of_sequence(tokenizer)],
        prompt_length=len(prompt_ids),
        offsets=[*((start + skipped, end + skipped) for start, end in encoded["offset_mapping"]), (0, 0)],
    )


def render_prompt(tokenizer: Any, messages: list[dict[str, str]], template_kwargs: dict[str, Any] | None = None) -> str:
    """The prompt text for generation; tokenize it without adding special tokens, as verl and vLLM do.

    Raises `RenderingError` if there is no chat template, or it rejects the conversation.
    """
    _require_template(tokenizer)
    try:
        return str(
            tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **template_kwargs or {})
        )
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in messages)
        raise RenderingError(
            f"the chat template of {tokenizer.name_or_path} refuses a prompt of the roles {roles}: {error}"
        ) from error


def end_of_sequence(tokenizer: Any) -> int:
    """The first special token that the chat template writes after an assistant's response.

    Raises `RenderingError` if it writes none, or there is no chat template.
    """
    _require_template(tokenizer)
    return _end_of_sequence(tokenizer, tokenizer.chat_template)


@lru_cache(maxsize=16)
def _end_of_sequence(tokenizer: Any, chat_template: str) -> int:
    messages = [{"role": "user", "content": "prompt"}, {"role": "assistant", "content": _PROBE}]
    tail = tokenizer.apply_chat_template(messages, chat_template=chat_template, tokenize=False).rpartition(_PROBE)[2]
    special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    for token_id in tokenizer(tail, add_special_tokens=False)["input_ids"]:
        if token_id in special:
            return token_id
    raise RenderingError(
        f"the chat template of {tokenizer.name_or_path} closes an assistant's turn with no special token, so a model "
        "could not learn to stop: add the end-of-sequence token after the assistant's content"
    )


def _require_template(tokenizer: Any) -> None:
    if tokenizer.chat_template is None:
        raise RenderingError(
            f"{tokenizer.name_or_path} has no chat template: put one (chat_template.jinja, for example that of the "
            "instruction-tuned model) into a local copy of the checkpoint, and set model.path to it"
        )


def _opened(prompt: str, response: str) -> int:
    """How many characters of the response, its opening <think>, the generation prompt already has; 0 if none."""
    end = prompt.rstrip()
    if end.endswith(END_THINK) and response.startswith(THINK):
        raise RenderingError("the chat template closes <think> before the response, which opens it: allow thinking")
    if not end.endswith(THINK):
        return 0
    if not response.startswith(THINK):
        if END_THINK not in response:
            raise RenderingError("the chat template opens <think>, and the response has no reasoning to close it")
        return 0
    blank = prompt[len(end) :]
    return len(THINK) + (len(blank) if response.startswith(THINK + blank) else 0)
