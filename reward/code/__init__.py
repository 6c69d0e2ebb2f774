"""Scores for answers to programming problems: programs run in a jail. See README.md."""
