"""The paper's benchmarks: short declarations of how a published row becomes a prompt in verl's RL row format.

- `declaration`  the fields of a benchmark
- `mathematics`  those of mathematics
- `catalogue`    all, by name
- `prepare`      hub or mirror -> parquet

Code benchmarks (LiveCodeBench, OJBench) would need a sandboxed grader in `reward` for their `data_source`, and a
declaration here.
"""
