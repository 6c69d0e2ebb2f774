"""A check of the local GPU for correct results and speed. Needs no hub and no data.

- `sizes`      problem sizes, for a GPU and, much smaller, for a CPU
- `attention`  the kernels of `vcore_verl.attention` against float64
- `subject`    a random model in verl's SFT engine, as a recipe would train it, and batches for it
- `utilities`  VCORE's utilities against one backward pass per token
- `cost`       seconds and memory of a step of SFT, alone and with each kind of probe
- `record`     the file of results, which `plan` reads; imports no torch
- `page`       result tables for a terminal
- `command`    runs all parts in order
"""
