"""Data of a run: training sources, prompt templates, filters, and the built-in arithmetic task."""
