"""One run on disk. Imports no torch.

- `layout`         where everything is stored
- `manifest`       what each stage depended on, when it ran, and its results
- `hashing`        content hashes of files and directories
- `lock`           one writer for each run
- `metrics_file`   `metrics.jsonl`, one line a training step
- `model_card`     the description of an exported checkpoint
- `tracking`       names and places of what experiment trackers get
- `migrate`        runs of the former layout
"""
