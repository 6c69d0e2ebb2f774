"""What needs no hub: models and data sets made from fixed seeds, a model from a package, samples of published sets.

- `task`           what a built-in task is; `tasks`: the table of them
- `arithmetic`     the arithmetic task: problems, traces, kinds of token
- `laboratory`     the laboratory's, in two regimes
- `tokenizer`      their tokenizers
- `base_model`     their pretrained base models
- `families`       tokenizers and configurations of published model families
- `random_model`   small untrained models of them, for `scale=smoke`
- `smollm2`        a real pretrained model, from a package
- `prepare`        a task's training and test sets
- `__main__`       the child process that makes them
- `samples/`       a dozen rows of each published data set, in its own format
- `chat_templates/`  the families' chat templates, for their untrained models
"""
