"""Reinforcement learning: a recipe becomes verl's own `main_ppo`, with math_verify rewards."""
