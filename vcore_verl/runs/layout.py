"""Where a run lies on disk. Everything else asks `Run` and joins no paths of its own. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from vcore_verl.config.recipe import Recipe


class ArtefactError(RuntimeError):
    """What a stage should have left on disk is missing or wrong; the message is one line."""


@dataclass(frozen=True)
class Run:
    """The run directory of one recipe, initialiser, RL algorithm and seed.

    `root` holds what all runs of a recipe share: base model, its evaluation, data, report. `dir` holds its own.
    Paths are relative to the working directory where `recipe.output_dir` is.
    """

    recipe: Recipe

    @property
    def root(self) -> Path:
        return Path(self.recipe.output_dir) / self.recipe.name

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
    def dir(self) -> Path:
        variant = f"+{self.recipe.variant}" if self.recipe.variant else ""
        return self.root / f"{self.recipe.init.name}{variant}-{self.recipe.rl.name}" / f"seed{self.recipe.seed}"

    @property
    def siblings(self) -> list[Path]:
        """Directories of the runs that differ from this one in RL alone."""
        init = self.dir.parent.name.removesuffix(self.recipe.rl.name)
        return [path for path in sorted(self.root.glob(f"{init}*/{self.dir.name}")) if path != self.dir]

    @property
    def sft(self) -> Path:
        return self.dir / "sft"

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
        return self.dir / "rl"

    @property
    def rl_hf(self) -> Path:
        return self.rl / "hf"

    @property
    def rl_checkpoints(self) -> Path:
        return self.rl / "checkpoints"

    @property
    def rl_start(self) -> Path:
        """The checkpoint that RL starts from: SFT's, or the base's where there is no SFT."""
        return self.base_hf if self.recipe.init.name == "none" else self.sft_hf

    @property
    def eval_base(self) -> Path:
        return self.base / "eval"

    @property
    def eval_pre(self) -> Path:
        return self.dir / "eval" / "pre_rl"

    @property
    def eval_post(self) -> Path:
        return self.dir / "eval" / "post_rl"

    @property
    def logs(self) -> Path:
        return self.dir / "logs"

    @property
    def report(self) -> Path:
        return self.root / "report"
