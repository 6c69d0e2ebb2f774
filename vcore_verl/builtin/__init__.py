"""Models and data that need no hub: made from fixed seeds, taken from a package, or samples of published data sets.

- `task`           the interface of a built-in task; `tasks`: all tasks by name
- `arithmetic`     the arithmetic task: problems, traces, kinds of token
- `laboratory`     the laboratory task, in two regimes
- `likelihood`     the exact probabilities of its traces
- `tokenizer`      the tasks' tokenizers
- `base_model`     the tasks' pretrained base models
- `families`       tokenizers and configurations of published model families
- `random_model`   small untrained models of these families, for `scale=smoke`
- `smollm2`        a real pretrained model, from a package
- `prepare`        a task's training and test sets
- `__main__`       the child process that makes models and data
- `samples/`       a dozen rows of each published data set, in its original format
- `chat_templates/`  the families' chat templates, for their untrained models
"""
