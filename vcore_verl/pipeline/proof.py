"""What an export keeps of training: its share of the weight update, and the logits of sample texts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from vcore_verl.data import templates
from vcore_verl.data.rendering import render_prompt
from vcore_verl.runs.layout import ArtefactError

# Question and response. A few hundred tokens: enough to use every weight, and seconds for a large model on a CPU.
TEXTS = (
    (
        "A train leaves at 9:40 and travels 126 km at 84 km/h. When does it arrive?",
        "<think>\nIt needs 126 / 84 = 1.5 hours, which is 1 hour and 30 minutes. Wait, 84 * 1.5 = 84 + 42 = 126, yes. "
        "9:40 and 1:30 is 11:10.\n</think>\n\nThe journey takes 1.5 hours, so it arrives at $\\boxed{11{:}10}$.",
    ),
    (
        "Let $f(x) = x^2 - 6x + 11$. Find the smallest value of $f$ over the real numbers.",
        "<think>\nComplete the square: $x^2 - 6x + 11 = (x - 3)^2 + 2$. A square is never negative, so the minimum is "
        "at $x = 3$.\n</think>\n\nSince $f(x) = (x - 3)^2 + 2 \\ge 2$ with equality at $x = 3$, it is $\\boxed{2}$.",
    ),
)
BLOCK = 1 << 24  # numbers compared at a time: 128 MiB in float64, independent of the embedding's size
ALLOWED_ERROR = 0.1  # relative to the largest change of a logit by training
FLOAT32_NOISE = 1e-4  # relative to the largest logit; merging adapters causes 1e-6 in two layers, more in a deep model


@dataclass(frozen=True)
class Update:
    """The update dW of all weights by training, and the shares <kept, dW> / <dW, dW> of it that survive.

    `square` is <dW, dW>. `kept` is the share in the written files, `kept_in_dtype` the share that inference sees in its
    own data type: the difference of trained and starting weights after rounding both. `exact` is whether the files hold
    the trained weights bit for bit.
    """

    square: float
    exact: bool
    kept: float
    kept_in_dtype: float


def token_ids(tokenizer: Any) -> list[torch.Tensor]:
    """`TEXTS` in the model's chat template: int64 of shape (1, tokens) each."""
    prompts = [render_prompt(tokenizer, [{"role": "user", "content": templates.math(asked)}]) for asked, _ in TEXTS]
    texts = [prompt + response for prompt, (_, response) in zip(prompts, TEXTS, strict=True)]
    return [torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]]) for text in texts]


@torch.no_grad()
def logits(model: Any, texts: list[torch.Tensor]) -> torch.Tensor:
    """Logits of all texts, concatenated: (tokens, vocabulary)."""
    return torch.cat([model(input_ids=ids).logits[0] for ids in texts])


def require_logits(found: torch.Tensor, trained: torch.Tensor, before: torch.Tensor) -> None:
    """Raise `ArtefactError` unless `found` are the logits of the trained model, rather than of the one before training.

    All are float32 of shape (tokens, vocabulary). NaN counts as wrong.
    """
    tolerance = float(ALLOWED_ERROR * (trained - before).abs().max() + FLOAT32_NOISE * trained.abs().max())
    error = float((found - trained).abs().max())
    if not error <= tolerance:
        raise ArtefactError(
            f"the exported model computes other logits than the trained one: they differ by {error:.2g}, "
            f"but at most {tolerance:.2g} is allowed"
        )


@torch.no_grad()
def update(trained: torch.nn.Module, start: torch.nn.Module, written: Path, dtype: torch.dtype) -> Update:
    """Compare two float32 models and the safetensors files in `written`, whose tensors are read one at a time.

    `dtype` is that of inference. If nothing changed, the shares are NaN. Raises `ArtefactError` if a weight was not
    written.
    """
    files = _files(written)
    sums = torch.zeros(3, dtype=torch.float64)
    exact = True
    for name, weight in trained.named_parameters():
        if name not in files:
            raise ArtefactError(f"{written} does not hold {name}")
        with safe_open(files[name], framework="pt") as file:
            stored = file.get_tensor(name)
        exact &= torch.equal(stored, weight)
        for after, before, kept in _blocks(weight, start.get_parameter(name), stored):
            change = after.double() - before.double()
            seen = after.to(dtype).double() - before.to(dtype).double()
            sums += torch.stack([change @ change, (kept.double() - before.double()) @ change, seen @ change])
    square, kept_product, seen_product = sums
    return Update(float(square), exact, float(kept_product / square), float(seen_product / square))


def _files(folder: Path) -> dict[str, Path]:
    """Name of a tensor -> the file that holds it."""
    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            files |= dict.fromkeys(file.keys(), path)
    return files


def _blocks(*tensors: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    return zip(*(tensor.flatten().split(BLOCK) for tensor in tensors), strict=True)
