"""`python -m vcore_verl.evaluation CHECKPOINT --output FOLDER --dataset NAME=FILE ...`: one evaluation."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vcore_verl.evaluation.evaluate import evaluate
from vcore_verl.evaluation.job import EvaluationError, Job, Sampling


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    sampling = Sampling(
        options.num_samples, options.temperature, options.top_p, options.max_tokens, options.seed, options.greedy
    )
    job = Job(
        stage=options.stage,
        checkpoint=local_checkpoint(options.checkpoint),
        datasets=dict(options.dataset),
        sampling=sampling,
        dtype=options.dtype,
        device=options.device,
        workers=options.workers,
        tensor_parallel=options.tensor_parallel,
    )
    try:
        evaluate(job, options.output)
    except EvaluationError as error:
        sys.exit(f"evaluation: {error}")


def local_checkpoint(checkpoint: str) -> str:
    """A directory: `checkpoint` itself, or the snapshot of the hub model of that name."""
    if Path(checkpoint).is_dir():
        return str(Path(checkpoint).resolve())
    from huggingface_hub import snapshot_download

    return snapshot_download(checkpoint)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m vcore_verl.evaluation", description=__doc__)
    parser.add_argument("checkpoint", help="directory in Hugging Face format, or hub id")
    parser.add_argument("--output", type=Path, required=True, help="folder for results.json and samples.parquet")
    parser.add_argument("--dataset", type=_named_file, action="append", required=True, metavar="NAME=FILE")
    parser.add_argument("--stage", default="checkpoint", help="base, pre_rl, post_rl, or another name for it")
    parser.add_argument("--num-samples", type=int, required=True, help="responses a prompt at the temperature")
    parser.add_argument("--temperature", type=float, required=True)
    parser.add_argument("--top-p", type=float, required=True)
    parser.add_argument("--max-tokens", type=int, required=True, help="of a response")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument(
        "--greedy", action=argparse.BooleanOptionalAction, required=True, help="one greedy response too"
    )
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), required=True)
    parser.add_argument("--workers", type=int, required=True, help="vLLM engines, or processes on a CPU")
    parser.add_argument("--tensor-parallel", type=int, default=1, help="GPUs of one engine")
    return parser


def _named_file(text: str) -> tuple[str, str]:
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=FILE")
    return name, str(Path(path).resolve())


if __name__ == "__main__":
    main()
