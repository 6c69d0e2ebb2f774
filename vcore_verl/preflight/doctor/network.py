"""Checks of the hub, the Ray cluster, and ports."""

import os
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import constants, get_token, try_to_load_from_cache

from vcore_verl.config.checks import MADE_HERE
from vcore_verl.config.recipe import Recipe
from vcore_verl.preflight.doctor.finding import Finding, judge
from vcore_verl.runtime.hardware import in_cluster
from vcore_verl.sft.command import RENDEZVOUS_PORT

TIMEOUT = 5.0  # seconds
GATED = ("meta-llama/", "mistralai/", "SynthLabsAI/Big-Math-RL-Verified")  # gated: their terms must be accepted


def hub(recipe: Recipe, endpoint: str = constants.ENDPOINT) -> Iterator[Finding]:
    """Whether the recipe's model and data can be fetched from the hub."""
    wanted = _wanted(recipe)
    if not wanted:
        yield Finding("hub", "not needed: nothing is fetched")
        return
    if reason := unreachable(endpoint):
        advice = (
            f"{', '.join(wanted)} cannot be fetched: set model.path to a local checkpoint and data.mirror to a "
            "directory with copies of the data, or run where the hub can be reached"
        )
        yield Finding("hub", f"offline: {reason}", "error", advice)
        return
    yield Finding("hub", f"{endpoint} answers")
    if gated := ", ".join(name for name in wanted if name.startswith(GATED)):
        found = f"present; accept the terms of {gated} once, on its page"
        missing = get_token() is None
        advice = "accept the terms on its page, then `hf auth login` or set HF_TOKEN"
        yield judge("hub token", f"none, and {gated} asks for one" if missing else found, advice, error=missing)


def unreachable(endpoint: str) -> str | None:
    """Why `endpoint` does not answer, in a few words; None if it does."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=TIMEOUT).close()
    except urllib.error.HTTPError:
        return None  # it answered
    except (OSError, ValueError) as error:
        return f"{endpoint} does not answer ({getattr(error, 'reason', error)})"
    return None


def _wanted(recipe: Recipe) -> list[str]:
    """Hub ids of model and data to fetch: not local and, for the model, not in the hub's cache."""
    data = [recipe.data.sft] * recipe.has_sft + [recipe.data.rl] * recipe.has_rl
    names = [recipe.model.path, *(data if recipe.data.mirror is None else [])]
    remote = [name for name in names if not name.startswith(MADE_HERE) and not Path(name).expanduser().exists()]
    return [name for name in remote if not isinstance(try_to_load_from_cache(name, "config.json"), str)]


def cluster(recipe: Recipe) -> Iterator[Finding]:
    """Check Slurm and the rendezvous port for several nodes; warn of RAY_ADDRESS on one."""
    if recipe.hardware.nodes > 1:
        if shutil.which("srun") is None:
            advice = "several nodes are started through Slurm: give the command on a machine that has it"
            yield Finding("several nodes", "srun is not here", "error", advice)
        yield port(RENDEZVOUS_PORT, "SFT's rendezvous")
    elif in_cluster():
        advice = "unset RAY_ADDRESS, unless RL is meant to run in that cluster"
        yield Finding("Ray cluster", f"RAY_ADDRESS={os.environ['RAY_ADDRESS']}", "warning", advice)


def port(number: int, purpose: str) -> Finding:
    """Whether port `number` is free for `purpose`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", number))
        except OSError as error:
            advice = f"end what listens there (ss -ltnp 'sport = :{number}'), or choose another port"
            return Finding(f"port {number}", f"{purpose}: {error.strerror}", "error", advice)
    return Finding(f"port {number}", f"{purpose}: free")
