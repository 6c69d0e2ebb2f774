"""Attention with a forward-mode rule; knows nothing of verl, Ray or recipes."""
