"""Before a run: `estimate` says what it needs, `doctor` whether this machine has it. Imports no torch."""
