"""Terms that may be added to the 0/1 score."""


def soft_overlong_punishment(num_tokens: int, max_tokens: int, buffer_tokens: int) -> float:
    """Length penalty in [-1, 0] for a response of `num_tokens` tokens (DAPO, arXiv 2503.14476, equation 13).

    0 up to `max_tokens - buffer_tokens`, then falling linearly to -1 at `max_tokens`, and -1 beyond.
    """
    if not 0 < buffer_tokens <= max_tokens:
        raise ValueError(f"overlong buffer must lie in 1..{max_tokens} (max_tokens), got {buffer_tokens}")
    return min(0.0, max(-1.0, (max_tokens - buffer_tokens - num_tokens) / buffer_tokens))
