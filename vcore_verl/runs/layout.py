"""Where a run is stored. All other modules ask `Run` for paths. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from vcore_verl.config.recipe import Recipe

RECIPE, MANIFEST = "recipe.yaml", "manifest.json"  # at each of the three levels
VALIDATION = "validation"  # the set of problems for choosing settings, and the folder of its evaluation
TESTS = "tests"  # beside data sets of code problems: the tests that their ground truths refer to
SFT_FOLDERS = ("sft", "eval", VALIDATION, "logs", "stale")  # of an SFT run; any other folder there is an RL run


class ArtefactError(RuntimeError):
    """A stage's output on disk is missing or wrong; the message is one line."""


class Run:
    """The folders of one recipe, SFT objective, seed and RL algorithm.

    Three levels: `root` holds what all runs of a recipe share (base model, data, report); `sft_home` below it holds one
    SFT run; `rl_home` below that holds one of the RL runs that start from it. Paths are relative to the working
    directory if `recipe.output_dir` is.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.root = Path(recipe.output_dir) / recipe.name
        self.base = self.root / "base"
        self.data = self.root / "data"
        self.validation_set = self.data / f"{VALIDATION}.parquet"
        self.tests = self.data / TESTS
        self.report = self.root / "report"
        self.eval_base = self.base / "eval"
        # The base checkpoint: `model.path` if that is a directory, else the output of the base stage.
        local = Path(recipe.model.path).expanduser()
        self.base_hf = local if local.is_dir() else self.base / "hf"

        # The SFT objective and the RL algorithm, each with the variant of its settings.
        self.arm = _with_variant(recipe.init.name, recipe.variant)
        self.rl_arm = _with_variant(recipe.rl.name, recipe.rl.variant)

        self.sft_home = self.root / self.arm / f"seed{recipe.seed}"
        self.sft = self.sft_home / "sft"
        self.sft_checkpoints = self.sft / "checkpoints"
        self.sft_start = self.base_hf
        self.sft_hf = self.sft / "hf"
        self.eval_pre = self.sft_home / "eval"

        self.rl_home = self.sft_home / self.rl_arm
        self.rl = self.rl_home / "rl"
        self.rl_checkpoints = self.rl / "checkpoints"
        self.rl_start = self.sft_hf if recipe.has_sft else self.base_hf
        self.rl_hf = self.rl / "hf"
        self.eval_post = self.rl_home / "eval"

        # The folder of the recipe's last training.
        self.dir = self.rl_home if recipe.has_rl else self.sft_home
        self.validation = self.dir / VALIDATION


def _with_variant(name: str, variant: str) -> str:
    return f"{name}+{variant}" if variant else name


@dataclass(frozen=True)
class Place:
    """A run below runs/<recipe>: `folder` is its `Run.dir`, `init` its `Run.arm`, `rl` its `Run.rl_arm`."""

    folder: Path
    init: str
    rl: str
    seed: int


def places(root: Path) -> list[Place]:
    """The runs below `root` = runs/<recipe>: SFT runs (rl "none") and the RL runs below them."""
    found = []
    for home in sorted(path for path in root.glob("*/seed*") if path.name.removeprefix("seed").isdigit()):
        if is_former(home):
            continue
        init, seed = home.parent.name, int(home.name.removeprefix("seed"))
        if init != "none":
            found.append(Place(home, init, "none", seed))
        below = sorted(path for path in home.iterdir() if path.is_dir() and path.name not in SFT_FOLDERS)
        found += [Place(path, init, path.name, seed) for path in below]
    return found


def is_former(folder: Path) -> bool:
    """Whether `folder` is a run of the old layout, <init>[+<variant>]-<rl>/seed<k>, and its recipe agrees."""
    if not (folder / RECIPE).is_file():
        return False
    recipe = OmegaConf.load(folder / RECIPE)
    init, variant, rl = (OmegaConf.select(recipe, key) for key in ("init.name", "variant", "rl.name"))
    return folder.parent.name == f"{_with_variant(init, variant)}-{rl}"
