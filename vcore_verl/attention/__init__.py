"""The attention function of every pass, with a forward-mode rule; independent of verl, Ray and recipes.

- `kernels`  torch's flash kernels on packed sequences
- `packed`   the differentiable function, and its registration with transformers

This module imports no torch.
"""

# Its name in transformers (`attn_implementation`), once `packed` has been imported.
NAME = "vcore_packed"
# Largest head dimension of the CUDA kernels; forward mode supports half of it.
WIDEST = 256
