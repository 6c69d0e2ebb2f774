"""The hub, the Ray cluster, and ports."""

import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import constants, get_token, try_to_load_from_cache

from vcore_verl.doctor.finding import Finding
from vcore_verl.recipe import BUILTIN, Recipe

TIMEOUT = 5.0  # seconds
GATED = ("meta-llama/", "mistralai/", "SynthLabsAI/Big-Math-RL-Verified")  # their terms have to be accepted
RAY_PORT = 6379


def hub(recipe: Recipe, endpoint: str = constants.ENDPOINT) -> Iterator[Finding]:
    """Whether what the recipe fetches can be fetched."""
    wanted = _wanted(recipe)
    if not wanted:
        yield Finding("hub", "not needed: nothing is fetched")
        return
    if reason := unreachable(endpoint):
        advice = (
            f"{', '.join(wanted)} cannot be fetched: set model.path to a local checkpoint and data.mirror to a "
            "directory with copies of the data, or run where the hub can be reached"
        )
        yield Finding("hub", f"offline: {reason}", "blocks", advice)
        return
    yield Finding("hub", f"{endpoint} answers")
    gated = [name for name in wanted if name.startswith(GATED)]
    if gated and get_token() is None:
        advice = "accept the terms on its page, then `hf auth login` or set HF_TOKEN"
        yield Finding("hub token", f"none, and {', '.join(gated)} asks for one", "blocks", advice)
    elif gated:
        yield Finding("hub token", f"present; accept the terms of {', '.join(gated)} once, on its page")


def unreachable(endpoint: str) -> str | None:
    """Why `endpoint` does not answer, in a few words; None where it does."""
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
    """Hub ids of model and data that are neither local nor, for the model, in the hub's cache."""
    data = [recipe.data.sft] * (recipe.init.name != "none") + [recipe.data.rl] * (recipe.rl.name != "none")
    if getattr(recipe.data, "mirror", None) is not None:
        data = []
    names = [name for name in (recipe.model.path, *data) if not name.startswith(BUILTIN)]
    remote = [name for name in names if not Path(name).expanduser().exists()]
    return [name for name in remote if not isinstance(try_to_load_from_cache(name, "config.json"), str)]


def cluster(recipe: Recipe) -> Iterator[Finding]:
    """What several nodes need, and what may surprise on one."""
    address = os.environ.get("RAY_ADDRESS")
    if recipe.hardware.nodes == 1:
        if address:
            advice = "unset RAY_ADDRESS, unless RL is meant to run in that cluster"
            yield Finding("Ray cluster", f"RAY_ADDRESS={address}", "doubtful", advice)
        return
    if address is None:
        advice = f"`ray start --head --port={RAY_PORT}` on one node, `ray start --address=...` on the others"
        yield Finding("Ray cluster", "RAY_ADDRESS is not set", "doubtful", advice)
        yield port(RAY_PORT, "Ray's head")
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        advice = "set them to the first node's name and to a free port, the same on every node"
        yield Finding("rendezvous", f"{' and '.join(missing)} not set", "blocks", advice)
    else:
        yield port(int(os.environ["MASTER_PORT"]), "MASTER_PORT")


def port(number: int, purpose: str) -> Finding:
    """Whether a program of ours could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", number))
        except OSError as error:
            advice = f"end what listens there (ss -ltnp 'sport = :{number}'), or choose another port"
            return Finding(f"port {number}", f"{purpose}: {error.strerror}", "blocks", advice)
    return Finding(f"port {number}", f"{purpose}: free")
