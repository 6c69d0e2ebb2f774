"""The model families of the recipes: special tokens, chat template and type of tokenizer, as published.

`build_tokenizer` makes a small tokenizer of a family, trained on given texts. Imports no torch.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEMPLATES = Path(__file__).parent / "chat_templates"
CONTEXT = 4096  # tokens


@dataclass(frozen=True)
class Family:
    """Tokens by role; decoding may skip the `special` tokens but not those in `text`.

    `bos` is prepended to text tokenised with special tokens; None if the family has none. Generation ends at any of
    `stops`. `sentencepiece` tokenizers mark word boundaries and fall back to bytes; others are byte-level.
    """

    special: tuple[str, ...]
    eos: str
    pad: str
    stops: tuple[str, ...]
    bos: str | None = None
    text: tuple[str, ...] = ()
    sentencepiece: bool = False


FAMILIES = {
    "qwen3": Family(
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        eos="<|im_end|>",
        pad="<|endoftext|>",
        stops=("<|im_end|>", "<|endoftext|>"),
        text=("<think>", "</think>"),
    ),
    "llama": Family(
        special=(
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|finetune_right_pad_id|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eom_id|>",
            "<|eot_id|>",
            "<|python_tag|>",
        ),
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        pad="<|finetune_right_pad_id|>",
        stops=("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
    ),
    "mistral": Family(
        special=("<unk>", "<s>", "</s>", "[INST]", "[/INST]"),
        bos="<s>",
        eos="</s>",
        pad="<unk>",
        stops=("</s>",),
        sentencepiece=True,
    ),
}


def chat_template(family: str) -> str:
    """The published Jinja text of "qwen3", "llama" (3.1) or "mistral" (7B Instruct v0.3)."""
    if family == "mistral":
        from mistral_common.integrations.chat_templates.template_generator import TemplateConfig, build_chat_template
        from mistral_common.tokens.tokenizers.base import TokenizerVersion

        return build_chat_template(TemplateConfig(TokenizerVersion("v3"), spm=True, use_special_token_variables=True))
    return (TEMPLATES / f"{family}.jinja").read_text()


def build_tokenizer(family: str, texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of `family` with at most `vocab_size` tokens besides the special ones; merges learnt from `texts`."""
    chosen = FAMILIES[family]
    tokenizer = _sentencepiece(chosen, texts, vocab_size) if chosen.sentencepiece else _bytes(texts, vocab_size)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in chosen.special])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in chosen.text])
    if chosen.bos is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{chosen.bos} $A", special_tokens=[(chosen.bos, tokenizer.token_to_id(chosen.bos))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=chosen.bos,
        eos_token=chosen.eos,
        pad_token=chosen.pad,
        additional_special_tokens=list(chosen.special),
        chat_template=chat_template(family),
        model_max_length=CONTEXT,
    )


def _bytes(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _sentencepiece(family: Family, texts: Iterable[str], vocab_size: int) -> Tokenizer:
    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(vocab_size=vocab_size - 256, show_progress=False)
    learnt.train_from_iterator(texts, trainer)
    model = json.loads(learnt.to_str())["model"]
    tokens = [*family.special, *(f"<0x{byte:02X}>" for byte in range(256)), *model["vocab"]]
    vocab = {token: index for index, token in enumerate(tokens)}
    merges = [tuple(pair) for pair in model["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer
