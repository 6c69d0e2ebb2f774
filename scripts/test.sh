#!/usr/bin/env bash
# All checks: style, types, unit tests, then one whole run of the tiny recipe, shortened, on the real stack.
#
#   bash scripts/test.sh              everything
#   bash scripts/test.sh --fast       without the slow tests and the whole run
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$ROOT"

case "${1:-}" in
    "") selections=("not e2e" "e2e") ;;
    --fast) selections=("not e2e and not slow") ;;
    *) fail "unknown option '$1'; the only one is --fast" ;;
esac

"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
"$VENV/bin/lint-imports"
for selection in "${selections[@]}"; do
    echo "Tests: $selection"
    "$PYTHON" -m pytest -q -m "$selection" --durations=10
done
echo "All checks passed in $((SECONDS / 60)) min $((SECONDS % 60)) s."
