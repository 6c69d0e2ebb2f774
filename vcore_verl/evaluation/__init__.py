"""Evaluation: responses of a checkpoint to test prompts, their scores, and statistics of the scores.

- `command`     recipe -> command line, and verification of its results
- `__main__`    the child process: `python -m vcore_verl.evaluation FOLDER/job.json`
- `standalone`  the same for any checkpoint
- `job`         what to evaluate: checkpoint, data sets, decoding
- `prompts`     test sets in verl's RL row format
- `evaluate`    starts the workers, grades their responses, writes the results
- `worker`      one vLLM engine that generates its share of the responses
- `responses`   the files between workers and grader, from which an interrupted evaluation resumes
- `grading`     scores by the training reward, and its version
- `reuse`       reuses responses when data sets are added to a finished evaluation
- `results`     samples.parquet and results.json
- `pool`        the answers that readiness is computed from; `readiness`: its figures, and rank correlations
- `statistics`  intervals, tests, pass@k
- `export`      the layout of lm-evaluation-harness

Only `worker` imports vLLM and torch.
"""
