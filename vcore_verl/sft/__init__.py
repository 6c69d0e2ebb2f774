"""Supervised fine-tuning with token objectives inside verl's FSDP SFT trainer.

- `command`      recipe -> torchrun command line; verification of the stage. Imports no torch
- `main`         the child process
- `trainer`      verl's SFTTrainer with our worker, seeded data order, exact resume, metrics file
- `worker`       verl's TrainingWorker; passes before the training step for what the objective needs
- `loss`         the weighted loss with the signature of verl's loss functions
- `probe/`       token utilities, for the objectives that need them, and other passes beside the training pass
- `dataset`      training examples with exact loss masks
- `reference`    log-probabilities under the initial model, cached
- `old_policy`   log-probabilities under the policy of some steps ago
- `metrics`      metrics logged every step; `tracking` opens their trackers
- `view`, `page` a web page of training examples, tokens coloured by weight
- `limits`       checks for unsupported settings, before anything starts
"""
