"""Where a run lies on disk. Everything else asks `Run` and joins no paths of its own. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from vcore_verl.config.recipe import Recipe

RECIPE, MANIFEST = "recipe.yaml", "manifest.json"  # at each of the three levels
SFT_FOLDERS = ("sft", "eval", "logs", "stale")  # of an SFT run; any other folder in it is an RL run


class ArtefactError(RuntimeError):
    """What a stage should have left on disk is missing or wrong; the message is one line."""


@dataclass(frozen=True)
class Run:
    """The folders of one recipe, SFT objective, seed and RL algorithm.

    Three levels: `root` holds what all runs of a recipe share (base model, data, report), `sft_home` below it one SFT
    run, and `rl_home` below that an RL run that starts from it; others start from the same SFT. Paths are relative to
    the working directory where `recipe.output_dir` is.
    """

    recipe: Recipe

    @property
    def root(self) -> Path:
        return Path(self.recipe.output_dir) / self.recipe.name

    @property
    def arm(self) -> str:
        """The SFT objective, with the variant of its settings."""
        return f"{self.recipe.init.name}+{self.recipe.variant}" if self.recipe.variant else self.recipe.init.name

    @property
    def sft_home(self) -> Path:
        return self.root / self.arm / f"seed{self.recipe.seed}"

    @property
    def rl_home(self) -> Path:
        return self.sft_home / self.recipe.rl.name

    @property
    def dir(self) -> Path:
        """Where the recipe's last training lies."""
        return self.rl_home if self.recipe.has_rl else self.sft_home

    @property
    def base(self) -> Path:
        return self.root / "base"

    @property
    def base_hf(self) -> Path:
        """The base checkpoint: what `model.path` names where that is a directory, else what the base stage made."""
        local = Path(self.recipe.model.path).expanduser()
        return local if local.is_dir() else self.base / "hf"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def sft(self) -> Path:
        return self.sft_home / "sft"

    @property
    def sft_hf(self) -> Path:
        return self.sft / "hf"

    @property
    def sft_checkpoints(self) -> Path:
        return self.sft / "checkpoints"

    @property
    def sft_start(self) -> Path:
        """The checkpoint that SFT starts from."""
        return self.base_hf

    @property
    def rl(self) -> Path:
        return self.rl_home / "rl"

    @property
    def rl_hf(self) -> Path:
        return self.rl / "hf"

    @property
    def rl_checkpoints(self) -> Path:
        return self.rl / "checkpoints"

    @property
    def rl_start(self) -> Path:
        """The checkpoint that RL starts from: SFT's, or the base's where there is no SFT."""
        return self.sft_hf if self.recipe.has_sft else self.base_hf

    @property
    def eval_base(self) -> Path:
        return self.base / "eval"

    @property
    def eval_pre(self) -> Path:
        return self.sft_home / "eval"

    @property
    def eval_post(self) -> Path:
        return self.rl_home / "eval"

    @property
    def report(self) -> Path:
        return self.root / "report"


@dataclass(frozen=True)
class Place:
    """Where a run lies below runs/<recipe>: `folder` is its `Run.dir`, `init` its `Run.arm`."""

    folder: Path
    init: str
    rl: str
    seed: int


def places(root: Path) -> list[Place]:
    """The runs below `root` = runs/<recipe>: SFT runs (rl "none"), and the RL runs below them."""
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
    """Whether `folder` is a run of the former layout, <init>[+<variant>]-<rl>/seed<k>, whose recipe says its name."""
    if not (folder / RECIPE).is_file():
        return False
    recipe = OmegaConf.load(folder / RECIPE)
    init, variant, rl = (OmegaConf.select(recipe, key) for key in ("init.name", "variant", "rl.name"))
    return folder.parent.name == f"{init}{f'+{variant}' if variant else ''}-{rl}"
