"""`python -m vcore_verl.data.benchmarks NAME --output FILE [--from FILE ...]`: prepare a benchmark."""

import argparse
import sys
from pathlib import Path

from vcore_verl.config.errors import InputError
from vcore_verl.data.benchmarks.catalogue import BENCHMARKS
from vcore_verl.data.benchmarks.prepare import prepare

if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m vcore_verl.data.benchmarks", description=__doc__)
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--output", type=Path, required=True, help="parquet file to write")
    parser.add_argument(
        "--from", dest="files", type=Path, nargs="+", default=(), help="local files in place of the hub"
    )
    options = parser.parse_args()
    try:
        prepare(BENCHMARKS[options.name], options.output, options.files)
    except InputError as error:
        sys.exit(str(error))
