"""The plan's arithmetic against what PyTorch, verl and vLLM count themselves, within 15 %."""

import copy
from functools import cache

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import PreTrainedModel

from vcore_verl.builtin import base_model, random_model, tokenizer
from vcore_verl.config.recipe import load
from vcore_verl.preflight.estimate.architecture import architecture_of, from_config
from vcore_verl.preflight.estimate.memory import phases
from vcore_verl.preflight.estimate.settings import settings_of

TINY = load("tiny", ["hardware.device=cpu", "hardware.gpus=1"])
TOKENS_B, TOKENS_L = 3, 64  # sequences and their length


@cache
def tiny() -> PreTrainedModel:
    return base_model.build_model(TINY.base, tokenizer.build(), seed=0)


def batch(model: PreTrainedModel) -> torch.Tensor:
    return torch.randint(0, model.config.vocab_size, (TOKENS_B, TOKENS_L), generator=torch.Generator().manual_seed(0))


def saved_bytes(model: PreTrainedModel) -> int:
    """Bytes of all storages that a forward pass saves for the backward pass, parameters apart."""
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    saved: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = model(input_ids=batch(model), use_cache=False).logits  # its graph keeps all saved tensors alive
    assert logits.requires_grad
    return sum(saved.values())


def families() -> list[PreTrainedModel]:
    return [random_model.build(family, TINY.base, "float32", 0)[0] for family in ("qwen3", "llama", "mistral")]


def test_parameters_are_those_of_the_model():
    assert architecture_of(TINY).parameters == sum(parameter.numel() for parameter in tiny().parameters())


def test_a_configuration_tells_what_the_recipe_tells():
    assert from_config(tiny().config.to_dict()) == architecture_of(TINY)


def test_parameters_of_each_family_are_those_of_the_model():
    for model in families():
        shape = from_config(model.config.to_dict())
        assert shape.parameters == sum(parameter.numel() for parameter in model.parameters()), model.config.model_type


def test_adapters_have_the_parameters_that_peft_gives_them():
    from peft import LoraConfig, get_peft_model

    wrapped = get_peft_model(copy.deepcopy(tiny()), LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    trained = sum(parameter.numel() for parameter in wrapped.parameters() if parameter.requires_grad)
    assert architecture_of(TINY).adapter_parameters(8) == trained


def test_weights_gradients_and_optimizer_take_the_bytes_that_they_take_in_pytorch():
    model = copy.deepcopy(tiny())
    optimizer = torch.optim.AdamW(model.parameters())
    model(input_ids=batch(model), labels=batch(model)).loss.backward()
    optimizer.step()
    moments = [value for state in optimizer.state.values() for value in state.values()]
    held = [*model.parameters(), *(p.grad for p in model.parameters() if p.grad is not None), *moments]
    training = next(iter(phases(settings_of(TINY), 2**30)))
    assert training.parts["states"] == pytest.approx(sum(tensor.nbytes for tensor in held), rel=0.001)


def test_a_forward_pass_saves_the_bytes_that_pytorch_saves():
    for model in (tiny(), *families(), copy.deepcopy(tiny()).to(torch.bfloat16)):
        shape, element = from_config(model.config.to_dict()), model.dtype.itemsize
        last_norm = shape.hidden * (4 + 2 * element)
        planned = TOKENS_B * TOKENS_L * (shape.layers * shape.saved_bytes(element, lora_dropout=False) + last_norm)
        assert planned == pytest.approx(saved_bytes(model), rel=0.15), model.config.model_type


def test_operations_are_those_that_verl_counts():
    from verl.utils.flops_counter import ESTIMATE_FUNC

    teraflops = ESTIMATE_FUNC["qwen3"](tiny().config, TOKENS_B * TOKENS_L, [TOKENS_L] * TOKENS_B, 1.0)
    forward_and_backward = 3 * TOKENS_B * TOKENS_L * architecture_of(TINY).forward_flops(TOKENS_L)
    assert forward_and_backward == pytest.approx(teraflops * 1e12, rel=0.15)


@pytest.mark.slow
def test_the_key_value_cache_has_the_pages_that_vllm_gives_it():
    from vllm.v1.kv_cache_interface import FullAttentionSpec

    for shape, element, dtype in (
        (architecture_of(TINY), 4, torch.float32),
        (architecture_of(load("qwen3_4b", [])), 2, torch.bfloat16),
    ):
        page = FullAttentionSpec(block_size=16, num_kv_heads=shape.kv_heads, head_size=shape.head_dim, dtype=dtype)
        assert shape.kv_bytes(element) == shape.layers * page.page_size_bytes / 16
