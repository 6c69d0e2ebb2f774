"""One run on disk. Imports no torch.

- `layout`         where everything is stored
- `manifest`       what each stage depended on, when it ran, and its results
- `hashing`        content hashes of files and directories
- `lock`           one writer per run
- `metrics_file`   `metrics.jsonl`, one line per training step
- `model_card`     the description of an exported checkpoint
- `tracking`       names and folders of a run in experiment trackers
- `migrate`        moves runs of the old layout
"""
