"""Progress lines of the preparation of data. Imports no torch."""

import time
from pathlib import Path

from vcore_verl.runs.metrics_file import MetricsFile

PROGRESS_SECONDS = 1.0


class Progress:
    """Writes the lines that the launcher's progress bar and stall watchdog read."""

    def __init__(self, path: Path, expected: int) -> None:
        self.file = MetricsFile(path, expected)
        self.rows = 0
        self.written = 0.0

    def row(self) -> None:
        self.rows += 1
        if time.monotonic() - self.written >= PROGRESS_SECONDS:
            self.file.total = max(self.rows, self.file.total)
            self.file.log({}, self.rows)
            self.written = time.monotonic()

    def end(self) -> None:
        self.file.total = self.rows
        self.file.log({}, self.rows)
