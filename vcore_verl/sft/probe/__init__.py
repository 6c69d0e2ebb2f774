"""What VCORE alone needs: token utilities from a probe gradient.

- `probe`         probe gradient, direction, utilities; leaves no trace
- `passes`        gradient, log-probabilities and derivatives of a batch by verl's engine
- `direction`     from a gradient to the direction of a probe
- `step_size`     how far to step for a finite difference
- `forward_mode`  directional derivatives under FSDP2
- `log_probs`     log-probabilities from logits, some tokens at a time
"""
