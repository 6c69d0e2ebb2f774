"""Tokenizers of the built-in tasks: one token per byte or per word, plus the markers of the chat template."""

from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

UNKNOWN = "<|unknown|>"
PAD, USER, ASSISTANT, END = "<|endoftext|>", "<|user|>", "<|assistant|>", "<|im_end|>"
# Not "special", so that they survive decoding: the reward looks for </think>.
THINK = ("<think>", "</think>")

# A message renders to the same tokens alone and inside a conversation, and nothing follows the end token.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def build(words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A tokenizer of `words` separated by spaces; all other words map to one unknown token.

    Without `words` it has 262 tokens; ids 0-255 are bytes in the order of the byte-level alphabet.
    """
    tokenizer = _of_words(words) if words else _of_bytes()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in (PAD, USER, ASSISTANT, END)])
    if not words:
        tokenizer.add_tokens([AddedToken(token, special=False) for token in THINK])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, chat_template=CHAT_TEMPLATE, model_max_length=1024
    )


def _of_words(words: Sequence[str]) -> Tokenizer:
    """Without a decoder, tokens are joined by spaces.

    A newline is one token, an unknown word: verl requires this for a Qwen3 (utils/tokenizer/continuous_token.py:556).
    """
    vocab = {word: index for index, word in enumerate((*words, UNKNOWN))}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    return tokenizer


def _of_bytes() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={symbol: index for index, symbol in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
