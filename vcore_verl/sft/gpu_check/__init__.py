"""A check of the user's own GPU: is what it computes right, and how fast is it. Needs no hub and no data.

- `sizes`      what is checked, on a GPU and, much smaller, on a CPU
- `attention`  the kernels of `vcore_verl.attention` against float64
- `subject`    a random model in verl's SFT engine, as a recipe would train it, and batches for it
- `utilities`  VCORE's utilities against one backward pass per token
- `cost`       seconds and memory of a step of SFT, alone and with each kind of probe
- `record`     the file that all of it goes to, which `plan` reads; imports no torch
- `page`       tables in a terminal
- `command`    all parts one after the other
"""
