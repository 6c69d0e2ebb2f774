"""Run under torchrun by the `laboratory` fixture: measures the SFT code on verl's real engine and saves what it saw.

torchrun laboratory.py START OUTPUT
"""

import sys
from pathlib import Path
from typing import Any

import torch
import torch.autograd.forward_ad as fwAD
from hydra import compose, initialize_config_module
from launch import settings  # beside this script
from torch import Tensor
from verl.trainer import sft_trainer
from verl.utils import distributed
from verl.utils import tensordict_utils as tu

from vcore_verl.config.overrides import merge
from vcore_verl.sft import limits
from vcore_verl.sft.loss import NonFiniteLossError
from vcore_verl.sft.probe import direction as directions
from vcore_verl.sft.probe import log_probs, passes
from vcore_verl.sft.trainer import ObjectiveTrainer

START, OUTPUT = Path(sys.argv[1]), Path(sys.argv[2])
BATCH = list(range(8))
VCORE = {"name": "vcore", "kl_budget": 0.1, "probe": {"batch_size": 8}}
OBJECTIVES = {
    "sft": {"name": "sft"},
    "dft": {"name": "dft"},
    "random": {"name": "random"},
    "iw_sft": {"name": "iw_sft"},
    "oracle": {"name": "oracle"},
    "dft_shuffled": {"name": "dft", "placebo": "shuffled"},
    "iw_sft_token": {"name": "iw_sft", "level": "token"},
    "eaft": {"name": "eaft"},
    "talr": {"name": "talr"},
    "vcore": VCORE,
    "vcore_temperature": VCORE | {"kl_budget": None, "temperature": 0.05},
    "vcore_variance": VCORE | {"variance_control": "variance"},
    "vcore_adam": VCORE | {"probe": {"batch_size": 8, "update": "adam_step"}},
    "vcore_uniform": VCORE | {"kl_budget": None, "temperature": "inf"},
}
BF16 = {"engine": {"+mixed_precision": {"param_dtype": "bf16"}}}
LORA = {"model": {"lora_rank": 4, "lora_alpha": 8, "lora": {"dropout": 0.0}}}


def config(**changes: Any) -> Any:
    overrides = settings(START, OUTPUT, torch.distributed.get_world_size(), **changes)
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("sft_trainer_engine", overrides=overrides)


def trainer(init: dict, **changes: Any) -> ObjectiveTrainer:
    return ObjectiveTrainer(config(**{"+init": init}, **changes))


def mine(subject: ObjectiveTrainer, **meta: Any) -> Any:
    """This rank's part of the batch, as the sampler would deal it."""
    engine = subject.engine
    batch = subject.batch(BATCH[engine.get_data_parallel_rank() :: engine.get_data_parallel_size()])
    tu.assign_non_tensor(batch, **meta)
    return batch


def full(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().full_tensor().clone() for name, tensor in tensors.items()}


def loss_and_gradient(subject: ObjectiveTrainer, **meta: Any) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradient of one training step on the batch, without the optimizer step."""
    worker, engine, batch = subject.training_client, subject.engine, mine(subject, **meta)
    worker.look_ahead(batch, 1)
    with engine.train_mode():
        engine.optimizer_zero_grad()
        losses = engine.forward_backward_batch(batch, worker.loss_fn)["loss"]
        gradient = full({name: p.grad for name, p in passes.trainable(engine).items() if p.grad is not None})
    total = torch.tensor(sum(losses), dtype=torch.float64)
    torch.distributed.all_reduce(total)
    return float(total) / engine.get_data_parallel_size(), gradient


def objectives() -> dict[str, Any]:
    found = {}
    for name, init in OBJECTIVES.items():
        subject = trainer(init)
        if name == "iw_sft_token":
            move(subject)
        found[name] = loss_and_gradient(subject)
    return found


def move(subject: ObjectiveTrainer) -> None:
    """Leave the initial model, so that importance ratios differ from 1."""
    with torch.no_grad():
        for parameter in passes.trainable(subject.engine).values():
            passes.local(parameter).mul_(1.02)


def splits() -> dict[str, Any]:
    """One loss and gradient however the batch is cut into micro-batches, single sequences included."""
    ranks, subject = torch.distributed.get_world_size(), trainer(VCORE)
    found = {}
    for size in (8, 4, 2, 1):
        meta = {"use_dynamic_bsz": False, "micro_batch_size_per_gpu": max(size // ranks, 1)}
        found[str(size)] = loss_and_gradient(subject, **meta)
    return found | {"dynamic": loss_and_gradient(subject, max_token_len_per_gpu=160)}


def utilities() -> dict[str, Any]:
    """Utilities by every derivative along one direction, with that direction and the parameters to check against."""
    found = {}
    for model, lora in (("full", {}), ("lora", LORA)):
        for dtype, precision in (("float32", {}), ("bfloat16", BF16)):
            found[f"{model}-{dtype}"] = _utilities(trainer(VCORE, **merge(lora, precision)))
    return found


def _utilities(subject: ObjectiveTrainer) -> dict[str, Any]:
    engine, probe, batch = subject.engine, subject.training_client.probe, mine(subject)
    if subject.config.model.lora_rank:
        torch.manual_seed(3)
        with torch.no_grad():
            for name, parameter in passes.trainable(engine).items():
                if "lora_B" in name:
                    noise = 0.02 * torch.randn(parameter.shape)
                    shards = torch.distributed.tensor.distribute_tensor(
                        noise, parameter.device_mesh, parameter.placements
                    )
                    passes.local(parameter).copy_(shards.to_local())
    state = {name: tensor.full_tensor().clone() for name, tensor in engine.module.state_dict().items()}
    found: dict[str, Any] = {"state": state}
    with engine.train_mode():
        gradient, found["metrics"] = probe._gradient(batch, 1)
        direction = directions.clipped(gradient, 1.0)
        found["direction"] = full(direction)
        for derivative in ("jvp", "central", "forward"):
            subject.init.probe.derivative = derivative
            probe.step_size.relative, probe.step_size.countdown = None, 0
            data = batch.copy()
            metrics = probe._utilities(data, direction)
            if "perturbed_log_probs" in data:
                here = passes.log_probs(engine, data)
                values = (data["perturbed_log_probs"].values() - here.values()) / data["epsilon"]
            else:
                values = data["utility"].values()
            found[derivative] = (gather(values, batch), metrics)
    return found


def blocks() -> dict[str, float]:
    """Largest difference that taking the logits of seven tokens at a time makes to utilities and log-probabilities."""
    found = {}
    for form, changes in (("full", {}), ("lora", LORA)):
        subject = trainer(VCORE, **changes)
        whole = _measured(subject)
        log_probs.LOGITS_BYTES = 7 * log_probs.LOGIT_BYTES * subject.engine.module.config.vocab_size
        in_blocks = _measured(subject)
        log_probs.LOGITS_BYTES = limits.LOGITS_BYTES
        for name, expected in whole.items():
            found[f"{form}-{name}"] = float((expected - in_blocks[name]).abs().max() / expected.abs().max())
    return found


def _measured(subject: ObjectiveTrainer) -> dict[str, Tensor]:
    engine, batch = subject.engine, mine(subject)
    with engine.train_mode():
        direction = passes.gradient(engine, with_tokens(mine(subject)))
        return {
            "utilities": passes.directional_derivatives(engine, batch, direction).values(),
            "log_probs": passes.precise_log_probs(engine, batch).values(),
            "entropies": passes.top_entropies(engine, batch).values(),
        }


def gather(values_P: Tensor, batch: Any) -> list[Tensor]:
    """Supervised values of all examples in the order of the global batch."""
    supervised_P = batch["loss_mask"].values().roll(-1).bool()
    counts = [int(mask.sum()) for mask in batch["loss_mask"].unbind()]
    rows = dict(zip(batch["index"].values().tolist(), values_P[supervised_P].split(counts), strict=True))
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, rows)
    everything = {index: row for part in parts for index, row in part.items()}
    return [everything[index] for index in BATCH]


def traces() -> dict[str, Any]:
    """What a probe leaves behind, also when its pass fails in the middle: nothing."""
    found = {}
    for derivative in ("jvp", "central", "forward"):
        subject = trainer(VCORE | {"probe": {"batch_size": 8, "derivative": derivative}}, **_dropout(0.2))
        worker, engine = subject.training_client, subject.engine
        worker.train_batch(with_tokens(mine(subject)))
        before = snapshot(engine)
        with engine.train_mode():
            worker.probe.measure(mine(subject), 2)
        found[derivative] = before == snapshot(engine)
        engine.module.get_submodule("base_model.model.model.norm").register_forward_hook(_fail)
        batch, direction = mine(subject), full_direction(engine)
        with engine.train_mode():
            try:
                worker.probe._utilities(batch, direction)
                found[f"{derivative}-failed"] = False
            except InterruptedError:
                found[f"{derivative}-failed"] = before == snapshot(engine)
    return found


def _fail(*_: Any) -> None:
    raise InterruptedError


def _dropout(rate: float) -> dict:
    return {"model": {"lora_rank": 4, "lora_alpha": 8, "lora": {"dropout": rate}}}


def full_direction(engine: Any) -> dict[str, Tensor]:
    return {name: torch.ones_like(parameter).detach() for name, parameter in passes.trainable(engine).items()}


def with_tokens(batch: Any) -> Any:
    lengths = batch["input_ids"].offsets().diff().tolist()
    tu.assign_non_tensor(batch, update_lr_scheduler=True, global_token_num=tu.NonTensorData(lengths))
    return batch


def snapshot(engine: Any) -> list[bytes]:
    """Parameters, gradients, optimizer and random state, schedule: byte for byte."""
    tensors = [passes.local(p) for p in passes.trainable(engine).values()]
    tensors += [passes.local(x) for state in engine.optimizer.state.values() for x in state.values()]
    tensors.append(torch.get_rng_state())
    gradients = [p.grad is None for p in engine.module.parameters()]
    schedule = sorted(engine.lr_scheduler.state_dict().items(), key=str)
    return [t.detach().numpy().tobytes() for t in tensors] + [repr((gradients, schedule)).encode()]


def same_masks() -> dict[str, bool]:
    """With dropout, which passes see the masks of the training pass after them: one of a difference, one in forward
    mode, and another training pass.
    """
    subject = trainer(VCORE | {"probe": {"batch_size": 8}}, **_dropout(0.5))
    engine, batch, direction = subject.engine, mine(subject), full_direction(subject.engine)
    with torch.no_grad():
        for name, parameter in passes.trainable(engine).items():
            if "lora_B" in name:
                passes.local(parameter).fill_(0.05)
    logits: list[Tensor] = []

    def record(_: Any, __: Any, output: Tensor) -> None:
        logits.append(fwAD.unpack_dual(output).primal.detach().clone())

    engine.module.get_output_embeddings().register_forward_hook(record)
    with engine.train_mode():
        with passes.same_randomness():
            passes.directional_derivatives(engine, batch, direction)
        subject.training_client.probe._perturbed_log_probs(batch, direction, 0.0, passes.log_probs)
        passes.log_probs(engine, batch)
        passes.log_probs(engine, batch)
    derivative, difference, training, again = logits
    return {
        "derivative": torch.allclose(derivative, training, rtol=1e-5, atol=1e-5),
        "difference": torch.equal(difference, training),
        "again": torch.allclose(again, training, rtol=1e-5, atol=1e-5),
    }


def stock() -> dict[str, Any]:
    """Six steps of verl's own trainer and of ours with init=sft: metrics and final parameters."""
    logged: dict[str, list] = {"stock": [], "ours": []}
    parameters = {}
    for name, make in (("stock", sft_trainer.SFTTrainer), ("ours", ObjectiveTrainer)):
        subject = make(config(trainer={"default_local_dir": str(OUTPUT / name)}))
        train_batch = subject.training_client.train_batch

        def recorded(data: Any, name: str = name, train_batch: Any = train_batch) -> Any:
            output = train_batch(data)
            metrics = tu.get(output, "metrics")
            logged[name].append([metrics.get(key, metrics.get(f"train/{key}")) for key in ("loss", "grad_norm", "lr")])
            return output

        subject.training_client.train_batch = recorded
        subject.fit()
        parameters[name] = full(passes.trainable(subject.engine))
    equal = all(torch.equal(parameters["stock"][key], parameters["ours"][key]) for key in parameters["stock"])
    return {"logged": logged, "parameters_equal": equal}


def draws() -> list[list[int]]:
    """Examples of the probe batches of steps 1 to 3, all ranks together."""
    subject = trainer(VCORE)
    found = []
    for step in (1, 2, 3):
        parts: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(parts, subject._draw(step)["index"].values().tolist())
        found.append(sorted(index for part in parts for index in part))
    return found


def cut_draws() -> dict[str, Any]:
    """Longest sequence and examples of this rank's part of a probe batch, whole and cut; the longest it trains on."""
    found = {}
    for name, cutoff in (("whole", None), ("cut", 24)):
        subject = trainer(VCORE | {"probe": {"batch_size": 8, "cutoff_tokens": cutoff}})
        drawn, training = subject._draw(1), mine(subject)
        found[f"{name} probe"] = int(drawn["input_ids"].offsets().diff().max())
        found[f"{name} examples"] = drawn["index"].values().tolist()
        found[f"{name} training"] = int(training["input_ids"].offsets().diff().max())
    return found


def not_finite() -> str:
    """The error of a step whose loss is NaN."""
    subject = trainer({"name": "sft"})
    subject.training_client.step = 4
    with torch.no_grad():
        for parameter in passes.trainable(subject.engine).values():
            passes.local(parameter).fill_(float("nan"))
    try:
        subject.training_client.train_batch(with_tokens(mine(subject)))
    except NonFiniteLossError as error:
        return str(error)
    return ""


def running() -> list[dict]:
    """Metrics of three steps with a running average of training gradients; the first has no average yet."""
    subject = trainer(VCORE | {"probe": {"gradient": "running"}})
    worker = subject.training_client
    return [tu.get(worker.train_batch(with_tokens(mine(subject))), "metrics") for _ in range(3)]


def old_policy() -> list[dict]:
    """Metrics of three steps; the old policy is that before step 1, and before step 3."""
    subject = trainer({"name": "psft", "refresh": 2, "clip_high": 1e6})
    worker = subject.training_client
    return [tu.get(worker.train_batch(with_tokens(mine(subject))), "metrics") for _ in range(3)]


def main() -> None:
    distributed.initialize_global_process_group()
    parts = (
        objectives,
        splits,
        utilities,
        blocks,
        traces,
        same_masks,
        stock,
        draws,
        cut_draws,
        not_finite,
        running,
        old_policy,
    )
    results = {part.__name__: part() for part in parts}
    if torch.distributed.get_rank() == 0:
        torch.save(results, OUTPUT / "results.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
