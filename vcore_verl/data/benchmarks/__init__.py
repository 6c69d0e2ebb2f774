"""Benchmarks: short declarations of how a published row becomes a prompt in verl's RL row format.

- `declaration`  the fields of a benchmark
- `mathematics`  those of mathematics; `code`: those of programming
- `catalogue`    all, by name
- `prepare`      hub or mirror -> parquet; `programs`: and tests on disk
"""
