"""verl's fused kernels on a model that FSDP2 has sharded: log-probabilities without the logits of all tokens."""

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM
from verl.models.transformers.monkey_patch import patch_forward_with_backends
from verl.utils.fsdp_utils import apply_fsdp2

from tests import shipped
from vcore_verl.config.overrides import lookup
from vcore_verl.config.recipe import RecipeError, load
from vcore_verl.rl.command import rl_command
from vcore_verl.runs.layout import Run

FUSED = "rl.verl.actor_rollout_ref.model.use_fused_kernels"
TOKENS = 1100  # more than two of the kernels' blocks
TEMPERATURE = 0.8


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    store = tmp_path_factory.mktemp("group") / "store"
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    torch.distributed.destroy_process_group()


def sharded(mesh, fused: bool, tied: bool) -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=97,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        tie_word_embeddings=tied,
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
    patch_forward_with_backends(model, use_fused_kernels=fused, fused_kernels_backend="torch")
    apply_fsdp2(model, {"mesh": mesh, "reshard_after_forward": True}, {})
    return model


def log_probs_and_entropy(model: Qwen3ForCausalLM, fused: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Of every token of a packed row, as verl's engine asks for them (workers/engine/fsdp/transformer_impl.py:1315)."""
    tokens = torch.randint(97, (1, TOKENS), generator=torch.Generator().manual_seed(1))
    labels = tokens.roll(-1)
    row = {"input_ids": tokens, "position_ids": torch.arange(TOKENS).remainder(400)[None], "use_cache": False}
    if fused:
        output = model(**row, temperature=TEMPERATURE, return_dict=True, shift_labels=labels)
        return output.log_probs, output.entropy
    log_probs = (model(**row).logits / TEMPERATURE).log_softmax(-1)
    return log_probs.gather(-1, labels[..., None])[..., 0], -(log_probs.exp() * log_probs).sum(-1)


def test_with_tied_embeddings_they_compute_what_the_logits_give(mesh, monkeypatch):
    monkeypatch.setattr(Qwen3ForCausalLM, "forward", Qwen3ForCausalLM.forward)  # verl patches the class
    found, gradients = [], []
    for fused in (False, True):
        model = sharded(mesh, fused, tied=True)
        log_probs, entropy = log_probs_and_entropy(model, fused)
        (log_probs.cumsum(-1).mean() + 0.1 * entropy.sum()).backward()
        found.append((log_probs, entropy))
        gradients.append({name: weight.grad.full_tensor() for name, weight in model.named_parameters()})
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-4, rtol=1e-4)


def test_with_an_output_matrix_of_its_own_they_read_one_that_is_sharded(mesh, monkeypatch):
    monkeypatch.setattr(Qwen3ForCausalLM, "forward", Qwen3ForCausalLM.forward)
    model = sharded(mesh, fused=True, tied=False)
    with pytest.raises(RuntimeError, match=r"mixed torch\.Tensor and DTensor"):
        log_probs_and_entropy(model, fused=True)
    assert isinstance(model.lm_head.weight, DTensor)


@pytest.mark.parametrize(
    ("config", "refused"),
    [('{"tie_word_embeddings": true}', False), ('{"tie_word_embeddings": false}', True), ("{}", True)],
)
def test_they_are_refused_where_the_model_at_hand_has_an_output_matrix_of_its_own(config, refused, tmp_path):
    recipe = load("qwen3_4b", [f"output_dir={tmp_path}", f"{FUSED}=true"])
    run = Run(recipe)
    rl_command(recipe, run)  # the model is not there yet
    run.base_hf.mkdir(parents=True)
    (run.base_hf / "config.json").write_text(config)
    if refused:
        with pytest.raises(RecipeError, match=rf"{FUSED}=true needs tied embeddings, which .* does not have"):
            rl_command(recipe, run)
    else:
        rl_command(recipe, run)


@pytest.mark.parametrize("name", shipped.each(shipped.RECIPES))
def test_every_gpu_recipe_of_a_model_with_tied_embeddings_uses_them(name):
    recipe = load(name, [])
    tied = recipe.model.path in ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-1.7B", "Qwen/Qwen3-4B")
    assert bool(lookup(recipe.rl.verl, "actor_rollout_ref.model.use_fused_kernels")) == tied
