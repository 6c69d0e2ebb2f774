#!/usr/bin/env bash
# Checks what this machine's GPU computes, and measures training steps on it; `plan` then uses the measured speed.
#
#   bash scripts/check_gpu.sh        minutes on a GPU, no hub; without one the same on the CPU, in tiny sizes
#
# Sets itself up on the first call. Exit code 1 where a check fails.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec "$PYTHON" -m vcore_verl check-gpu "$@"
