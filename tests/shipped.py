"""What `recipes/` of this repository holds: a file that a user adds there is not a test's business."""

RECIPES = (
    "llama31_8b",
    "mistral_7b",
    "qwen3_0_6b",
    "qwen3_1_7b",
    "qwen3_1_7b_one",
    "qwen3_32b",
    "qwen3_4b",
    "qwen3_8b",
    "smollm2_135m",
    "tiny",
)
INITS = ("dft", "iw_sft", "none", "random", "sft", "vcore", "vcore_paper")
ALGORITHMS = ("dapo", "grpo", "none")
