"""The probe: estimates how a virtual update along the uniform loss's gradient would change each token's loss.

A probe adds to the training batch what the loss needs for the utilities s_t, and leaves parameters, gradients,
optimizer, random state and data order unchanged. Its own batches B' are drawn independently of the training batches, as
a function of seed and step, so that a resumed run draws the same ones.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor
from verl.utils import tensordict_utils as tu
from verl.utils.device import get_device_id

from vcore_verl.config.init_schema import Probe as Settings
from vcore_verl.sft.probe import direction as directions
from vcore_verl.sft.probe import passes
from vcore_verl.sft.probe.passes import Direction
from vcore_verl.sft.probe.step_size import StepSize

# Weight of the newest gradient in the running average (`gradient: running`). Past gradients soon diverge from the
# current one: the longer the memory, the worse the estimate (tests/benchmarks/probe_gradient.py).
NEWEST = 0.9
AVERAGE = "vcore_running_gradient"
# What `update` makes of a gradient; "sgd" leaves it as it is.
UPDATES = {"adam_step": directions.adam_step, "preconditioned": directions.preconditioned}
# Sequences per rank used to choose the step size of a finite difference.
TRIAL_SEQUENCES = 4


class Probe:
    """Measures utilities for `engine` (verl's FSDP engine on FSDP2).

    `draw(step)` returns this rank's part of B' for a step, a batch in verl's form. `clip_grad` bounds the norm of the
    probe gradient unless `settings.clip_grad` overrides it. A fresh gradient is that of `loss`, by default the uniform.
    """

    def __init__(
        self,
        engine: Any,
        settings: Settings,
        draw: Callable[[int], TensorDict],
        clip_grad: float,
        seed: int,
        loss: Any = passes.uniform_loss,
    ):
        self.engine, self.settings, self.draw, self.seed, self.loss = engine, settings, draw, seed, loss
        self.clip_grad = clip_grad if settings.clip_grad is None else settings.clip_grad
        self.step_size = StepSize(None if settings.epsilon == "auto" else float(settings.epsilon))
        self.newest_cosine: float | None = None  # of the running average with the next training gradient
        if settings.gradient == "running":
            engine.optimizer.register_step_post_hook(self._observe)

    def measure(self, data: TensorDict, step: int) -> dict[str, float]:
        """Add "utility", or "perturbed_log_probs" and "epsilon", to `data`, but nothing between two probes. Returns
        metrics.
        """
        if (step - 1) % self.settings.every:
            return {}
        started = time.perf_counter()
        gradient, metrics = self._gradient(data, step)
        if gradient is None:
            return {}
        metrics["probe/gradient_norm"] = directions.norm(gradient)
        gradient = directions.clipped(gradient, self.clip_grad)
        direction = gradient
        if update := UPDATES.get(self.settings.update):
            direction = update(self.engine.optimizer, passes.trainable(self.engine), gradient)
        metrics |= self._utilities(data, direction)
        metrics |= _signal_to_noise(metrics)
        metrics["probe/seconds"] = time.perf_counter() - started
        return metrics

    def _gradient(self, data: TensorDict, step: int) -> tuple[Direction | None, dict[str, float]]:
        if self.settings.gradient == "running":
            # The newest gradient is the population's plus noise, so its cosine with the average is a lower bound.
            agreement = {} if self.newest_cosine is None else {"probe/population_cosine": self.newest_cosine}
            return self._running_gradient(), agreement
        with passes.same_randomness():
            torch.manual_seed((self.seed * 1_000_003 + step * 8191 + self.engine.get_data_parallel_rank()) % 2**63)
            return self._fresh_gradient(self.draw(step))

    def _fresh_gradient(self, batch: TensorDict) -> tuple[Direction, dict[str, float]]:
        """Gradient on B', from two halves if its size is even: their cosine tells how well it estimates the population
        gradient.
        """
        if len(batch) % 2:
            return passes.gradient(self.engine, batch, self.loss), {}
        halves = tu.chunk_tensordict(batch, 2)
        first, second = (passes.gradient(self.engine, half, self.loss) for half in halves)
        tokens = [tu.get(half, "batch_num_tokens") for half in halves]
        half_cosine = directions.cosine(first, second)
        return directions.weighted_mean(first, second, tokens[0] / sum(tokens)), {
            "probe/half_cosine": half_cosine,
            "probe/population_cosine": directions.population_cosine(half_cosine),
        }

    def _utilities(self, data: TensorDict, direction: Direction) -> dict[str, float]:
        if self.settings.derivative == "jvp":
            with passes.same_randomness():
                data["utility"] = passes.directional_derivatives(self.engine, data, direction)
            return {}
        difference = self._central if self.settings.derivative == "central" else self._forward
        parameter_norm = directions.norm(passes.trainable(self.engine))
        trial = tu.index_select_tensor_dict(data, list(range(min(TRIAL_SEQUENCES, len(data)))))
        supervised_P = trial["loss_mask"].values().roll(-1).bool().to(get_device_id())
        epsilon = self.step_size.update(
            parameter_norm,
            directions.norm(direction),
            lambda e: difference(trial, direction, e)[supervised_P],
        )
        if self.settings.derivative == "central":
            utility_P = difference(data, direction, epsilon)
            data["utility"] = torch.nested.nested_tensor_from_jagged(
                utility_P, data["input_ids"].offsets().to(utility_P.device)
            )
        else:
            data["perturbed_log_probs"] = self._perturbed_log_probs(data, direction, -epsilon, passes.log_probs)
            tu.assign_non_tensor(data, epsilon=epsilon)
        return {"probe/epsilon": epsilon, "probe/rounding_signal_to_noise": self.step_size.signal_to_noise}

    def _central(self, data: TensorDict, direction: Direction, epsilon: float) -> Tensor:
        """(l(theta + e v) - l(theta - e v)) / 2e, packed (P,)."""
        ahead_P = self._perturbed_log_probs(data, direction, -epsilon, passes.precise_log_probs).values()
        behind_P = self._perturbed_log_probs(data, direction, epsilon, passes.precise_log_probs).values()
        return (ahead_P - behind_P) / (2 * epsilon)

    def _forward(self, data: TensorDict, direction: Direction, epsilon: float) -> Tensor:
        """(l(theta) - l(theta - e v)) / e, packed (P,). In training, l(theta) comes from the training pass itself."""
        here_P = self._perturbed_log_probs(data, direction, 0.0, passes.precise_log_probs).values()
        ahead_P = self._perturbed_log_probs(data, direction, -epsilon, passes.precise_log_probs).values()
        return (ahead_P - here_P) / epsilon

    def _perturbed_log_probs(
        self, data: TensorDict, direction: Direction, step: float, log_probs: Callable[[Any, TensorDict], Tensor]
    ) -> Tensor:
        with passes.same_randomness(), passes.perturbed(self.engine, direction, step):
            return log_probs(self.engine, data)

    def _observe(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Add a training gradient, as used by the optimizer step, to the running average.

        The average is part of the optimizer's state, so that it is saved and restored with it. This hook runs after the
        step because Adam initialises only an empty state.
        """
        gradients = {name: p.grad.detach() for name, p in passes.trainable(self.engine).items() if p.grad is not None}
        average = self._running_gradient()
        if average is not None:
            self.newest_cosine = directions.cosine(average, gradients)
        for name, parameter in passes.trainable(self.engine).items():
            if name in gradients:
                state, gradient = optimizer.state[parameter], gradients[name]
                state[AVERAGE] = gradient.clone() if AVERAGE not in state else state[AVERAGE].lerp(gradient, NEWEST)

    def _running_gradient(self) -> Direction | None:
        """The average of past training gradients, None before the first step."""
        states = {name: self.engine.optimizer.state.get(p, {}) for name, p in passes.trainable(self.engine).items()}
        return {name: state[AVERAGE] for name, state in states.items() if AVERAGE in state} or None


def _signal_to_noise(metrics: dict[str, float]) -> dict[str, float]:
    """Signal-to-noise ratio of the utilities as population estimates; sampling and rounding noise are independent.

    Omitted if neither is known: on the first step of a running average, and for a probe batch of odd size.
    """
    ratios = [metrics[key] for key in ("probe/rounding_signal_to_noise",) if key in metrics]
    if "probe/population_cosine" in metrics:
        ratios.append(directions.signal_to_noise(metrics["probe/population_cosine"]))
    if not ratios:
        return {}
    return {"utility/signal_to_noise": sum(ratio**-2 for ratio in ratios) ** -0.5 if min(ratios) > 0 else 0.0}
