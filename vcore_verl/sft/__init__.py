"""Supervised fine-tuning with token objectives inside verl's FSDP SFT trainer.

- `command`      recipe -> torchrun command line; verification of the stage. Imports no torch
- `main`         the child process
- `trainer`      verl's SFTTrainer with our worker, data order by seed, exact resume, metrics file
- `worker`       verl's TrainingWorker: probes before the training step where the objective asks for utilities
- `loss`         the weighted loss in verl's loss-function signature
- `probe/`       token utilities, for the objectives that need them
- `dataset`      exact supervised tokens
- `reference`    log-probabilities under the initial model, cached
- `metrics`      what is logged every step; `tracking` opens the trackers for it
- `view`, `page` the tokens of training examples coloured by their weight, as a web page
- `limits`       what cannot work, said before anything starts
"""
