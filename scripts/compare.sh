#!/usr/bin/env bash
# All initialisers, each through SFT and RL, evaluated before and after, in one report.
#
#   bash scripts/compare.sh tiny                                        2 CPU cores: six initialisers under GRPO
#   bash scripts/compare.sh tiny seeds=0,1,2                            three training runs of each
#   bash scripts/compare.sh qwen3_4b inits=vcore,sft rls=grpo,dapo      some of them, under two algorithms
#   bash scripts/compare.sh tiny sft.steps=50                           any key, for all arms
#   bash scripts/compare.sh tiny inits=vcore sft.learning_rate=1e-3,2e-3   an arm for each value of a key
#   bash scripts/compare.sh tiny --dry-run                              print the arms, start nothing
#
# Sets itself up on the first call. The same command again continues where the last one stopped; finished arms are
# skipped, and one that fails does not keep the others from running.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec "$PYTHON" -m vcore_verl sweep "$@"
