"""All benchmarks by name."""

from vcore_verl.data.benchmarks.mathematics import MATHEMATICS

BENCHMARKS = {benchmark.name: benchmark for benchmark in MATHEMATICS}
