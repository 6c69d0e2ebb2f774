from vcore_verl.builtin import tokenizer

CONVERSATION = [
    {"role": "user", "content": "12+7=?"},
    {"role": "assistant", "content": "<think>12+7=19\n</think>\\boxed{19}"},
]


def test_text_survives_encoding_and_decoding():
    tokens = tokenizer.build()
    text = "<think>12+7=19\n</think>\\boxed{19} é 数"
    assert tokens.decode(tokens.encode(text), skip_special_tokens=True) == text


def test_an_ascii_character_is_one_token_and_a_marker_is_one_token():
    tokens = tokenizer.build()
    assert len(tokens.encode("12+7=?")) == 6
    assert len(tokens.encode("<think></think>")) == 2


def test_the_vocabulary_has_no_padding_entries():
    tokens = tokenizer.build()
    assert len(tokens) == 262
    assert sorted(tokens.get_vocab().values()) == list(range(262))


def test_messages_render_alone_as_they_render_together():
    tokens = tokenizer.build()
    together = tokens.apply_chat_template(CONVERSATION, tokenize=False)
    alone = "".join(tokens.apply_chat_template([message], tokenize=False) for message in CONVERSATION)
    assert together == alone == "<|user|>12+7=?<|im_end|><|assistant|><think>12+7=19\n</think>\\boxed{19}<|im_end|>"


def test_the_generation_prompt_ends_where_the_assistant_begins():
    tokens = tokenizer.build()
    prompt = tokens.apply_chat_template(CONVERSATION[:1], tokenize=False, add_generation_prompt=True)
    assert prompt == "<|user|>12+7=?<|im_end|><|assistant|>"


def test_with_words_a_word_is_a_token_and_spaces_survive():
    tokens = tokenizer.build(("1", "10", "+", "?"))
    assert tokens.encode("10 + 1 ?") == [1, 2, 0, 3]
    assert tokens.decode([1, 2, 0, 3]) == "10 + 1 ?"
    assert len(tokens) == 9
    prompt = [{"role": "user", "content": "10 + 1 ?"}]
    rendered = tokens.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    assert rendered == "<|user|>10 + 1 ?<|im_end|><|assistant|>"
    assert tokens.convert_ids_to_tokens(tokens.encode(rendered)) == [
        *("<|user|>", "10", "+", "1", "?", "<|im_end|>", "<|assistant|>")
    ]


def test_words_that_are_not_known_are_one_token_each():
    tokens = tokenizer.build(("1", "+"))
    assert tokens.convert_ids_to_tokens(tokens.encode("1 + 21 \u6570")) == ["1", "+", "<|unknown|>", "<|unknown|>"]
    assert len(tokens.encode("\n")) == 1  # verl's rollouts ask for it
