"""Evaluation: responses of a checkpoint to test prompts, their scores, and what the scores are worth.

- `command`     recipe -> command line, and the check of its results
- `__main__`    the child process: `python -m vcore_verl.evaluation FOLDER/job.json`
- `standalone`  the same for a checkpoint that is no stage of a run
- `job`         what to evaluate: checkpoint, data sets, decoding
- `prompts`     test sets in verl's RL row format
- `evaluate`    starts the workers, grades what they write, writes the results
- `worker`      one vLLM engine, which generates its share of the responses
- `responses`   the files between workers and grader, from which an interrupted evaluation continues
- `grading`     the training reward, and its version
- `reuse`       responses that an evaluation on more data sets need not generate again
- `results`     samples.parquet and results.json
- `statistics`  intervals, tests, pass@k
- `export`      the layout of lm-evaluation-harness

Only `worker` imports vLLM and torch.
"""
