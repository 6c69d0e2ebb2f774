"""On the chat templates that the models publish, with small tokenizers that have the models' special tokens."""

import pytest

from vcore_verl.builtin import tokenizer as builtin
from vcore_verl.builtin.families import build_tokenizer
from vcore_verl.data.rendering import RenderingError, end_of_sequence, render, render_prompt

QUESTION = "What is 1+2?"
TRACE = "<think>\nOne and two\nare three.\n</think>\n\nSo \\boxed{3}"
CONVERSATION = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": TRACE}]
PROMPTS = {
    "qwen3": "<|im_start|>user\nWhat is 1+2?<|im_end|>\n<|im_start|>assistant\n",
    "llama": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
    "Today Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWhat is 1+2?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral": "<s>[INST] What is 1+2?[/INST]",
}
ENDS = {"qwen3": "<|im_end|>", "llama": "<|eot_id|>", "mistral": "</s>"}


def tokenizer_of(family):
    return build_tokenizer(family, [QUESTION, TRACE] * 5, vocab_size=400)


def supervised(tokenizer, rendering):
    return tokenizer.decode(rendering.input_ids[rendering.prompt_length :])


@pytest.mark.parametrize("family", PROMPTS)
def test_exactly_the_trace_and_the_end_of_the_turn_are_supervised(family):
    tokenizer = tokenizer_of(family)
    rendering = render(tokenizer, CONVERSATION)
    assert supervised(tokenizer, rendering) == TRACE + ENDS[family]
    assert render_prompt(tokenizer, CONVERSATION[:1]) == PROMPTS[family]
    assert rendering.input_ids[: rendering.prompt_length] == tokenizer.encode(PROMPTS[family], add_special_tokens=False)


def test_messages_are_not_rendered_one_by_one_since_that_loses_the_trace():
    alone = tokenizer_of("qwen3").apply_chat_template(CONVERSATION[1:], tokenize=False)
    assert alone == "<|im_start|>assistant\nSo \\boxed{3}<|im_end|>\n"


@pytest.mark.parametrize("family", PROMPTS)
def test_the_prompt_is_what_generation_tokenises(family):
    tokenizer = tokenizer_of(family)
    rendering = render(tokenizer, CONVERSATION)
    generated = tokenizer.apply_chat_template(CONVERSATION[:1], add_generation_prompt=True, return_dict=False)
    assert rendering.input_ids[: rendering.prompt_length] == generated


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_a_beginning_of_sequence_stands_once(family):
    tokenizer = tokenizer_of(family)
    input_ids = render(tokenizer, CONVERSATION).input_ids
    assert tokenizer.encode("a")[0] == tokenizer.bos_token_id  # the tokenizer would add one by itself
    assert input_ids[0] == tokenizer.bos_token_id
    assert input_ids.count(tokenizer.bos_token_id) == 1


@pytest.mark.parametrize("family", PROMPTS)
def test_offsets_are_those_of_the_content(family):
    rendering = render(tokenizer_of(family), CONVERSATION)
    *tokens, end = rendering.offsets
    assert len(rendering.offsets) == len(rendering.input_ids) - rendering.prompt_length
    assert end == (0, 0)
    assert "".join(TRACE[first:last] for first, last in tokens) == TRACE


@pytest.mark.parametrize(("family", "other"), [("qwen3", "<|endoftext|>"), ("llama", "<|end_of_text|>")])
def test_the_end_is_the_templates_where_a_base_checkpoint_names_another(family, other):
    tokenizer = tokenizer_of(family)
    tokenizer.eos_token = other
    assert tokenizer.convert_ids_to_tokens(end_of_sequence(tokenizer)) == ENDS[family]


def thinking(opening):
    """Qwen3's template as the Thinking models have it: the generation prompt opens the reasoning."""
    tokenizer = tokenizer_of("qwen3")
    generation = "{{- '<|im_start|>assistant\\n' }}"
    assert generation in tokenizer.chat_template
    tokenizer.chat_template = tokenizer.chat_template.replace(
        generation, f"{{{{- '<|im_start|>assistant\\n{opening}' }}}}"
    )
    return tokenizer


@pytest.mark.parametrize(("opening", "left"), [("<think>\\n", len("<think>\n")), ("<think>", len("<think>"))])
def test_reasoning_that_the_prompt_opens_is_not_opened_again(opening, left):
    tokenizer = thinking(opening)
    rendering = render(tokenizer, CONVERSATION)
    assert supervised(tokenizer, rendering) == TRACE[left:] + "<|im_end|>"
    assert tokenizer.decode(rendering.input_ids).count("<think>") == 1
    assert "".join(TRACE[first:last] for first, last in rendering.offsets[:-1]) == TRACE[left:]


def test_a_trace_without_its_opening_continues_the_prompts():
    tokenizer = thinking("<think>\\n")
    continued = TRACE.removeprefix("<think>\n")
    rendering = render(tokenizer, [CONVERSATION[0], {"role": "assistant", "content": continued}])
    assert supervised(tokenizer, rendering) == continued + "<|im_end|>"


def test_reasoning_that_prompt_and_answer_disagree_on_is_refused():
    answer = [CONVERSATION[0], {"role": "assistant", "content": "\\boxed{3}"}]
    with pytest.raises(RenderingError, match="no reasoning to close it"):
        render(thinking("<think>\\n"), answer)
    with pytest.raises(RenderingError, match="allow thinking"):
        render(tokenizer_of("qwen3"), CONVERSATION, {"enable_thinking": False})
    assert render(tokenizer_of("qwen3"), answer, {"enable_thinking": False}).prompt_length > 0


@pytest.mark.parametrize("family", PROMPTS)
def test_a_system_message_is_part_of_the_prompt(family):
    text = render_prompt(tokenizer_of(family), [{"role": "system", "content": "Be brief."}, CONVERSATION[0]])
    assert text.index("Be brief.") < text.index(QUESTION)


def test_a_conversation_that_the_template_refuses_is_named():
    with pytest.raises(RenderingError, match="refuses a prompt of the roles assistant, user: Conversation must start"):
        render_prompt(tokenizer_of("mistral"), CONVERSATION[::-1])


def test_a_checkpoint_without_a_chat_template_names_the_remedy():
    tokenizer = builtin.build()
    tokenizer.chat_template = None
    for call in (lambda: render(tokenizer, CONVERSATION), lambda: end_of_sequence(tokenizer)):
        with pytest.raises(RenderingError, match=r"no chat template: put one .* and set model\.path"):
            call()


def test_a_template_that_does_not_close_the_turn_is_refused():
    tokenizer = builtin.build()
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
    with pytest.raises(RenderingError, match="no special token"):
        end_of_sequence(tokenizer)


def test_the_built_in_models_token_ids():
    rendering = render(
        builtin.build(), [{"role": "user", "content": "1+2=?"}, {"role": "assistant", "content": "\\boxed{3}"}]
    )
    assert rendering.prompt_length == 8
    assert rendering.input_ids == [257, 16, 10, 17, 28, 30, 259, 258, 59, 65, 78, 87, 68, 67, 90, 18, 92, 259]
