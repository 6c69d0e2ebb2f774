#!/usr/bin/env bash
# From a base model to a report: base -> SFT -> RL, with an evaluation before and after each.
#
#   bash scripts/sft_then_grpo.sh tiny                         2 CPU cores, ten minutes: the whole pipeline
#   bash scripts/sft_then_grpo.sh qwen3_4b                     8 GPUs: the paper's setup
#   bash scripts/sft_then_grpo.sh qwen3_4b init=dft seed=1     another SFT objective, another seed
#   bash scripts/sft_then_grpo.sh tiny --dry-run               print the plan and the recipe, start nothing
#
# Sets itself up on the first call. Run the same command again to resume.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec "$PYTHON" -m vcore_verl run "$@"
