"""All benchmarks by name."""

from vcore_verl.data.benchmarks.code import CODE
from vcore_verl.data.benchmarks.declaration import Benchmark
from vcore_verl.data.benchmarks.mathematics import MATHEMATICS

BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in (*MATHEMATICS, *CODE)}
