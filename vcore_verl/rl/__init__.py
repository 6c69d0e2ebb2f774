"""Reinforcement learning: verl's own `main_ppo`, configured by a recipe and one of `algorithms`, with this
project's rewards.
"""
