"""The paper's benchmarks: small declarations that turn a published row into a prompt in verl's RL row format.

- `declaration`  what a benchmark declares
- `catalogue`    the benchmarks
- `prepare`      hub or mirror -> parquet

Code benchmarks (LiveCodeBench, OJBench) need a sandbox for a grader: a `data_source` that `reward` can run, and a
declaration here.
"""
