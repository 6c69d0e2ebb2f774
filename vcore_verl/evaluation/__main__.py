"""`python -m vcore_verl.evaluation FOLDER/job.json`: one evaluation; writes the results to FOLDER."""

import sys
from dataclasses import replace
from pathlib import Path

from vcore_verl.evaluation.evaluate import evaluate
from vcore_verl.evaluation.job import EvaluationError, Job


def main(path: Path) -> None:
    job = Job.read(path)
    try:
        evaluate(replace(job, checkpoint=local_checkpoint(job.checkpoint)), path.parent)
    except EvaluationError as error:
        sys.exit(f"evaluation: {error}")


def local_checkpoint(checkpoint: str) -> str:
    """The checkpoint's directory: `checkpoint` itself, or the snapshot of that hub model."""
    if Path(checkpoint).is_dir():
        return str(Path(checkpoint).resolve())
    from huggingface_hub import snapshot_download

    return snapshot_download(checkpoint)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
