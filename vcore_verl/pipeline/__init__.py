"""The stages of a run in order, and the runs of a comparison.

- `stages`     what each stage runs and what it depends on
- `code`       the files of this project that compute a stage's result, hashed
- `pipeline`   skips, resumes or reruns them
- `export`     a training checkpoint in Hugging Face format; `export_stage` starts and checks it
- `proof`      that an export is the trained model
- `tracking`   evaluation results for experiment trackers
- `sweep`      the runs of a comparison, one after another
"""
