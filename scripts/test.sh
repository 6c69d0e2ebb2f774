#!/usr/bin/env bash
# All checks: style, types, unit tests, then one shortened but complete run of the tiny recipe on the real stack.
#
#   bash scripts/test.sh              what continuous integration runs
#   bash scripts/test.sh --all        also on the recipes and kinds of hosts that differ little from others
#   bash scripts/test.sh --fast       without the slow tests and the complete run
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$ROOT"

case "${1:-}" in
    "") speed=" and not exhaustive" ;;
    --all) speed="" ;;
    --fast) speed=" and not exhaustive and not slow" ;;
    *) fail "unknown option '$1'; there are --all and --fast" ;;
esac

# Two files of tests at a time (or two recipes: tests/conftest.py); tests start the threads and processes they need.
tests() {
    echo "Tests: $1"
    "$PYTHON" -m pytest -q --durations=10 -m "$@"
}

"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
"$VENV/bin/lint-imports"
OMP_NUM_THREADS=1 tests "not e2e and not alone$speed" -n 2 --dist loadfile
tests "alone and not e2e$speed"
[[ "$speed" = *slow ]] || tests "e2e$speed" -n 2 --dist loadfile
echo "All checks passed in $((SECONDS / 60)) min $((SECONDS % 60)) s."
