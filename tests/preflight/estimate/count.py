"""Count what one rank's training step allocates: verl's FSDP engine on fake tensors and fake ranks, and our passes.

`VERL_PLATFORM=cpu python count.py CASES` prints the bytes of each of `CASES`, a JSON list of `Case`s; with --table what
the first consists of. A program, since verl chooses its platform when it is imported. The process group "fake" answers
every collective at once.

Not counted: CUDA's context, NCCL's buffers, workspaces inside kernels, and fragmentation of the allocator.
"""

import dataclasses
import json
import sys
import tempfile
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from ledger import Ledger  # beside this script
from peft.tuners.lora import LoraLayer
from stand_ins import Dropout, Entropy, on_cuda
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import Qwen3Config
from verl.trainer.config import CheckpointConfig
from verl.utils import tensordict_utils as tu
from verl.workers.config import FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig
from verl.workers.utils.losses import sft_loss

from vcore_verl.attention import NAME
from vcore_verl.config.recipe import load
from vcore_verl.cpu import engine as cpu_engine
from vcore_verl.preflight.estimate.settings import Settings, settings_of
from vcore_verl.sft.probe import passes

FIELDS = ("input_ids", "position_ids", "loss_mask")


@dataclasses.dataclass(frozen=True)
class Case:
    """`work` is "sft" (training), "probe" or "rl" (update), of a recipe's model with other numbers of layers and tokens
    of the vocabulary.
    """

    recipe: str
    work: str
    overrides: tuple[str, ...] = ()
    layers: int = 3
    vocab: int | None = None

    def settings(self) -> Settings:
        s = settings_of(load(self.recipe, list(self.overrides)))
        return dataclasses.replace(
            s, model=dataclasses.replace(s.model, layers=self.layers, vocab=self.vocab or s.model.vocab)
        )


class Engine(cpu_engine.CPUEngineWithLMHead):
    """Built on the device meta; its parameters become fake just before FSDP2 shards them. Not from the start: PEFT and
    verl call Module.to, which cannot move fake ones.
    """

    fake: FakeTensorMode

    def _build_fsdp_module(self, module: Any) -> Any:
        made: dict[int, Tensor] = {}  # tied parameters once
        with self.fake:
            for part in module.modules():
                for table in (part._parameters, part._buffers):
                    for name, old in ((name, x) for name, x in table.items() if x is not None and x.is_meta):
                        new = torch.zeros(old.shape, dtype=old.dtype, device="cpu")
                        new = nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new
                        table[name] = made.setdefault(id(old), new)
            return super()._build_fsdp_module(module)


def build(s: Settings, section: str, fake: FakeTensorMode) -> Engine:
    """The engine of "sft" or "rl" with the recipe's settings, as far as memory hangs on them."""
    m, folder = s.model, tempfile.mkdtemp()
    Qwen3Config(
        vocab_size=m.vocab, hidden_size=m.hidden, intermediate_size=m.intermediate, num_hidden_layers=m.layers,
        num_attention_heads=m.heads, num_key_value_heads=m.kv_heads, head_dim=m.head_dim, tie_word_embeddings=m.tied,
        max_position_embeddings=40960, architectures=["Qwen3ForCausalLM"],
    ).save_pretrained(folder)  # fmt: skip
    engine = Engine(
        HFModelConfig(
            path=folder, load_tokenizer=False, override_config={"attn_implementation": NAME},
            lora_rank=s.adapter_rank(section), enable_gradient_checkpointing=s.checkpoints_activations(section),
            fused_kernel_options={"impl_backend": "torch"},
            use_fused_kernels=section == "rl" and s.fuses_log_probs,
        ),
        FSDPEngineConfig(
            strategy="fsdp2", model_dtype="fp32", use_torch_compile=False,
            mixed_precision={"param_dtype": "bf16", "reduce_dtype": "fp32", "buffer_dtype": "fp32"},
            use_no_sync_for_gradient_accumulation=False,  # verl/trainer/config/engine/fsdp.yaml
        ),
        FSDPOptimizerConfig(lr=1e-4, total_training_steps=10),
        CheckpointConfig(),
    )  # fmt: skip
    engine.fake = fake
    engine._build_model_optimizer()
    engine.compute_entropy_from_logits = Entropy.apply
    dropout = s.recipe.model.lora.dropout if section == "sft" else 0.0
    for module in engine.module.modules():
        if isinstance(module, LoraLayer) and dropout > 0:
            module.lora_dropout["default"] = Dropout()
    engine.module.train()
    return engine


def row(tokens: int, **meta: Any) -> Any:
    """A packed row of one sequence, in verl's form."""
    offsets = torch.empty(2, dtype=torch.long)
    rows = (torch.zeros(tokens, dtype=torch.long) for _ in FIELDS)
    nested = [torch.nested.nested_tensor_from_jagged(x, offsets, min_seqlen=1, max_seqlen=tokens) for x in rows]
    meta |= {"use_remove_padding": True, "pad_mode": "no_padding", "temperature": 1.0, "batch_num_tokens": tokens}
    return tu.get_tensordict(dict(zip(FIELDS, nested, strict=True)), meta | {"dp_size": dist.get_world_size()})


def policy_loss(entropy_coef: float, model_output: Any, **_: Any) -> tuple[Tensor, dict]:
    """Of the right inputs; what verl's adds is as small as the tokens are many."""
    loss = -model_output["log_probs"].values().sum()
    return (loss - entropy_coef * model_output["entropy"].values().sum() if entropy_coef else loss), {}


def train(engine: Engine, data: Any, loss_function: Any) -> None:
    """A micro-batch, without the optimizer's step."""
    loss, _ = engine.forward_step(data, loss_function, forward_only=False)
    loss.backward()


def utilities(engine: Engine, data: Any, direction: dict[str, Tensor], derivative: str) -> None:
    """One pass of a probe along `direction`, as `vcore_verl.sft.probe.probe` makes it."""
    if derivative == "jvp":
        passes.directional_derivatives(engine, data, direction)
        return
    with passes.perturbed(engine, direction, 1e-3):
        if derivative == "central":
            passes.precise_log_probs(engine, data)
        else:
            with torch.no_grad():  # `passes.log_probs` without its division into micro-batches
                engine.forward_step(data, None, forward_only=True)


def count(case: Case) -> Ledger:
    """The ledger of a second step, with the gradients of an earlier micro-batch where it trains."""
    s, section = case.settings(), "rl" if case.work == "rl" else "sft"
    fake = FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True)
    # Before fake mode: a mesh reads its ranks from a tensor.
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=s.ranks(section))
    try:
        with on_cuda(s.tokens(section)):
            engine, log = build(s, section, fake), Ledger(s.tokens(section))
            with fake:
                step(engine, log, s, case.work)
    finally:
        dist.destroy_process_group()
    return log


def step(engine: Engine, log: Ledger, s: Settings, work: str) -> None:
    rl = work == "rl"
    data = row(log.tokens, use_fused_kernels=rl and s.fuses_log_probs, calculate_entropy=rl)
    loss = partial(policy_loss, s.recipe.rl.entropy_coef) if rl else partial(sft_loss, config=None)
    log.add("weights", *engine.module.parameters())
    with log:
        train(engine, data, loss)  # once unmeasured: DTensor infers the shapes of its operations on whole tensors
        engine.optimizer_step()
        states = (x for state in engine.optimizer.state.values() for x in state.values())
        log.add("moments", *(x for x in states if isinstance(x, Tensor)))
        engine.optimizer_zero_grad()
        if work == "probe":
            assert s.recipe.init.probing is not None
            direction = {name: torch.zeros_like(p) for name, p in passes.trainable(engine).items()}
            log.begin("probe")
            utilities(engine, data, direction, s.recipe.init.probing.derivative)
            return
        train(engine, data, loss)
        log.begin("micro-batch")
        train(engine, data, loss)
        log.begin("update")
        engine.optimizer_step()


def main() -> None:
    logs = [count(Case(**case)) for case in json.loads(sys.argv[1])]
    if "--table" in sys.argv:
        for moment, table in logs[0].tables.items():
            print(f"{moment}: {logs[0].peaks[moment] / 2**30:.3f} GiB")
            print(*(f"{size / 2**30:9.3f}  {label}" for label, size in table.most_common(20)), sep="\n")
    else:
        print(json.dumps([max(log.peaks.values()) for log in logs]))


if __name__ == "__main__":
    main()
