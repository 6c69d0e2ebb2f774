"""The plan of a recipe, computed before it starts: memory, disk, tokens, hours. Imports no torch."""

from vcore_verl.preflight.estimate.architecture import Architecture, UnknownArchitecture, architecture_of, from_config
from vcore_verl.preflight.estimate.page import print_plan

__all__ = ["Architecture", "UnknownArchitecture", "architecture_of", "from_config", "print_plan"]
