"""VCORE supervised fine-tuning, then GRPO or DAPO, on verl."""

__version__ = "0.1.0"
