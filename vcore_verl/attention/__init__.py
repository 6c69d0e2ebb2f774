"""One attention for every pass, with its forward-mode rule; knows nothing of verl, Ray or recipes.

- `kernels`  torch's flash kernels on packed sequences
- `packed`   the differentiable function, and its registration with transformers

This module imports no torch.
"""

# As transformers knows it (`attn_implementation`), once `packed` has been imported.
NAME = "vcore_packed"
# Head of the CUDA kernels, in numbers; forward mode takes half as wide ones.
WIDEST = 256
