import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from vcore_verl.builtin import random_model
from vcore_verl.config.schema import Base

SMALL = Base(layers=2, hidden_size=64, heads=4, kv_heads=2, intermediate_size=96)


@pytest.mark.parametrize("family", random_model.PUBLISHED)
def test_a_random_model_has_its_familys_layout_and_reloads(family, tmp_path):
    model, tokenizer = random_model.build(family, SMALL, "bfloat16", seed=0)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")
    tokens = AutoTokenizer.from_pretrained(tmp_path)
    attention, config = reloaded.model.layers[0].self_attn, reloaded.config
    assert reloaded.dtype == torch.bfloat16
    assert config.model_type == family
    assert (attention.q_proj.out_features, attention.k_proj.out_features) == (4 * 32, 2 * 32)
    assert hasattr(attention, "q_norm") == (family == "qwen3")
    assert (reloaded.lm_head.weight is reloaded.model.embed_tokens.weight) == (family == "qwen3")
    assert (config.rope_parameters["rope_type"] == "llama3") == (family == "llama")
    assert getattr(config, "sliding_window", None) is None
    assert config.vocab_size == len(tokens) == len(tokenizer)
    assert tokens.encode("It is 3 é 数") == tokenizer.encode("It is 3 é 数")
    assert tokens.decode(tokens.encode("It is 3 é 数"), skip_special_tokens=True) == "It is 3 é 数"
    assert tokens.eos_token_id in reloaded.generation_config.eos_token_id


def test_the_same_seed_makes_the_same_model():
    first, second = (random_model.build("llama", SMALL, "float32", seed=0) for _ in range(2))
    for one, other in zip(first[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(one, other)
    assert first[1].get_vocab() == second[1].get_vocab()
