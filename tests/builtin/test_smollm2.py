"""The checkpoint that `model.path: builtin:smollm2` becomes, written and read again."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from vcore_verl.builtin import smollm2
from vcore_verl.config.checks import SMOLLM2
from vcore_verl.config.recipe import load
from vcore_verl.data.rendering import end_of_sequence, render, render_prompt
from vcore_verl.preflight.estimate.architecture import architecture_of

pytestmark = pytest.mark.slow

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
SYSTEM = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
PROMPT = f"{SYSTEM}<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
PARAMETERS = 134_515_008
END = 2


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smollm2")
    for part in smollm2.load():
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(checkpoint):
    return AutoModelForCausalLM.from_pretrained(checkpoint, dtype="auto")


@pytest.fixture(scope="module")
def tokenizer(checkpoint):
    return AutoTokenizer.from_pretrained(checkpoint)


def test_it_answers_a_question_and_stops(model, tokenizer):
    input_ids = tokenizer(render_prompt(tokenizer, QUESTION), add_special_tokens=False, return_tensors="pt")
    generated = model.generate(**input_ids, max_new_tokens=16, do_sample=False)[0, 37:]
    assert tokenizer.decode(generated) == "The capital of France is Paris.<|im_end|>"
    logits_V = model(**input_ids).logits[0, -1]
    likeliest = {504: 25.325386, 60: 25.243284, 15319: 24.942411, 2219: 24.401672}
    assert logits_V.topk(4).indices.tolist() == list(likeliest)
    torch.testing.assert_close(logits_V[list(likeliest)], torch.tensor(list(likeliest.values())), atol=1e-3, rtol=0)


def test_size_and_precision_are_the_planned_ones(model):
    assert model.num_parameters() == PARAMETERS
    assert model.dtype == torch.float32
    recipe = load("smollm2_135m", [])
    assert recipe.model.path == SMOLLM2
    assert architecture_of(recipe).parameters == PARAMETERS


def test_a_turn_ends_with_the_same_token_everywhere(model, tokenizer):
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") == END
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, end_of_sequence(tokenizer)) == (END, END, END)
    for config in (model.config, model.generation_config):
        assert (config.eos_token_id, config.pad_token_id) == (END, END)


def test_the_chat_template_is_the_published_one(tokenizer):
    assert render_prompt(tokenizer, QUESTION) == PROMPT
    assert tokenizer(PROMPT, add_special_tokens=False)["input_ids"][:6] == [1, 9690, 198, 2683, 359, 253]


def test_digits_are_tokens_of_their_own_and_text_survives(tokenizer):
    trace = "So \\boxed{12} , 345 ."
    rendering = render(tokenizer, [*QUESTION, {"role": "assistant", "content": trace}])
    supervised = rendering.input_ids[rendering.prompt_length :]
    assert tokenizer.convert_ids_to_tokens(supervised[:8]) == ["So", "Ġ\\", "box", "ed", "{", "1", "2", "}"]
    assert tokenizer.decode(supervised) == f"{trace}<|im_end|>"
