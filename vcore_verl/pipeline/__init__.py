"""The stages of a run in order, and the runs of a comparison.

- `stage`      a stage, and what its result depends on
- `stages`     the stages of a run
- `code`       hashes of the project files that compute a stage's result
- `pipeline`   skips, resumes or reruns the stages
- `export`     a training checkpoint in Hugging Face format; `export_stage` starts and checks it
- `proof`      checks that an export is the trained model
- `tracking`   evaluation results for experiment trackers
- `arms`       the arms of a comparison, from the words of its command
- `sweep`      runs the arms of a comparison one after another
"""
