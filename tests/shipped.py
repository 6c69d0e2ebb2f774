"""What `recipes/` of this repository holds: a file that a user adds there is not a test's business."""

from collections.abc import Iterable
from typing import Any

import pytest

RECIPES = (
    "lab",
    "lab_new",
    "llama31_8b",
    "llama31_8b_code",
    "mistral_7b",
    "qwen3_0_6b",
    "qwen3_1_7b",
    "qwen3_1_7b_one",
    "qwen3_32b",
    "qwen3_32b_code",
    "qwen3_4b",
    "qwen3_4b_code",
    "qwen3_8b",
    "qwen3_8b_code",
    "smollm2_135m",
    "tiny",
    "tiny_code",
)
INITS = (
    "chord_phi",
    "dft",
    "eaft",
    "gift_weight",
    "iw_sft",
    "luffy",
    "none",
    "oracle",
    "p_power",
    "pear",
    "pear_wide",
    "psft",
    "random",
    "sft",
    "talr",
    "threshold",
    "ton",
    "vcore",
    "vcore_clean",
    "vcore_half_cosine",
    "vcore_loss",
    "vcore_negated",
    "vcore_normalised",
    "vcore_paper",
)
BUILT_IN = ("lab", "lab_new", "tiny", "tiny_code")  # recipes on the tasks that tell of what kind a token is
LABORATORIES = ("lab", "lab_new")
FOR_GPUS = tuple(name for name in RECIPES if name not in BUILT_IN)
# Those on programs are another recipe in all but their data: tests/config/test_recipe.py.
SIBLINGS = {name: name.removesuffix("_code") for name in FOR_GPUS if name.endswith("_code")}
# These differ from another recipe in sizes, hub ids or data alone.
SIMILAR = (
    "lab_new",
    "llama31_8b_code",
    "mistral_7b",
    "qwen3_1_7b",
    "qwen3_1_7b_one",
    "qwen3_32b",
    "qwen3_32b_code",
    "qwen3_8b",
    "qwen3_8b_code",
)
ALGORITHMS = (
    "dapo",
    "dr_grpo",
    "grpo",
    "gvm_grpo",
    "gvm_raft",
    "nft",
    "none",
    "raft",
    "raft_pp",
    "reinforce_rej",
    "rloo",
    "seed_grpo",
    "spo_mask",
)


def inits(recipe: str) -> tuple[str, ...]:
    """The initializations that a recipe's data allow."""
    refused = () if recipe in LABORATORIES else ("pear", "pear_wide")
    refused += () if recipe in BUILT_IN else ("oracle", "vcore_clean")
    return tuple(init for init in INITS if init not in refused)


def trained(recipe: str) -> tuple[str, ...]:
    """Of these, one for each way in which an objective gets what it reads, and for each look of its settings."""
    alike = (
        "chord_phi",
        "dft",
        "gift_weight",
        "luffy",
        "p_power",
        "pear_wide",
        "threshold",
        "vcore_loss",
        "vcore_negated",
    )
    return tuple(init for init in inits(recipe) if init not in (*alike, "vcore_normalised"))


def each(recipes: Iterable[str], *values: Any, also: tuple[str, ...] = ()) -> list[Any]:
    """Parameters of a test, a recipe and `values`; `scripts/test.sh --all` alone runs those of `SIMILAR` and `also`."""
    left = (*SIMILAR, *also)
    return [pytest.param(name, *values, marks=[pytest.mark.exhaustive] if name in left else []) for name in recipes]
