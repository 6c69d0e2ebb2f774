"""Token utilities from a probe gradient, needed by VCORE alone, and passes over a batch beside the training pass.

- `probe`         probe gradient, direction, utilities; leaves the training state unchanged
- `passes`        gradient, log-probabilities and derivatives of a batch with verl's engine
- `direction`     from a gradient to the direction of a probe
- `step_size`     the step size of finite differences
- `forward_mode`  directional derivatives under FSDP2
- `log_probs`     log-probabilities and entropies from logits, in blocks of tokens
"""
