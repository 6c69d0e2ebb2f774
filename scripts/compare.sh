#!/usr/bin/env bash
# Compares SFT objectives: runs SFT and RL with each, evaluates before and after RL, and writes one report.
#
#   bash scripts/compare.sh tiny                                        2 CPU cores: all objectives, under GRPO
#   bash scripts/compare.sh tiny seeds=0,1,2                            three training runs of each
#   bash scripts/compare.sh qwen3_4b inits=vcore,sft rls=grpo,dapo      two objectives, under two RL algorithms
#   bash scripts/compare.sh tiny sft.steps=50                           any key, for every run
#   bash scripts/compare.sh tiny inits=vcore sft.learning_rate=1e-3,2e-3   one run per value of a key
#   bash scripts/compare.sh tiny tune=sft.learning_rate:5e-4,1e-3,2e-3     each arm at its own best value, by validation
#   bash scripts/compare.sh tiny --dry-run                              print the runs, start nothing
#
# Sets itself up on the first call. Run the same command again to resume; finished runs are skipped, and a failed one
# does not stop the others.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec "$PYTHON" -m vcore_verl sweep "$@"
