"""Checks before a run: `estimate` plans its needs, `doctor` checks them against this machine. Imports no torch."""
