"""Reinforcement learning: verl's own `main_ppo`, configured by a recipe, with math_verify rewards."""
