"""Data of a run: training sources, prompt templates and filters."""
