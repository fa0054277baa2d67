import pytest

from swath.models.architectures.vocabulary import (
    BEGIN,
    END,
    IMAGE,
    NUMBERS,
    PAD,
    ROLES,
    train_tokenizer,
)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["Some boats lie at the jetty.", "A jetty, 12 boats."] * 5, size=1200)


def test_the_first_ids_are_those_the_model_expects(tokenizer):
    assert tokenizer.convert_tokens_to_ids([PAD, BEGIN, END, IMAGE]) == [0, 1, 2, 3]
    assert tokenizer.pad_token_id == 0
    assert tokenizer.eos_token_id == 2
    assert len(tokenizer) <= 1200


def test_every_number_of_a_box_is_one_token(tokenizer):
    for number in (NUMBERS[0], -1, 0, 7, 100, NUMBERS[-1]):
        assert len(tokenizer(f"<{number}>")["input_ids"]) == 1
    assert len(tokenizer("{<1><22><100><-5>|<90>}")["input_ids"]) == 8


def test_digits_outside_boxes_stand_alone(tokenizer):
    assert tokenizer.tokenize("128") == ["1", "2", "8"]


@pytest.mark.parametrize(
    "text",
    [
        "Some boats lie at the jetty.",
        " two  spaces, a\nnew line\tand a tab ",
        'JSON: {"label": "BaseballField", "n": 12.5}',
        "Übersee, 停车场, ½ 🛰",
        "{<12><0><99><100>|<45>}<delim>{<-3><5><20><30>|<90>}",
    ],
)
def test_any_text_comes_back_as_it_was(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_words_of_the_trade_are_short_even_if_no_text_says_them(tokenizer):
    assert len(tokenizer.tokenize(" airport")) == 2
    assert len(tokenizer.tokenize(" rtaiorp")) > 4


def test_an_answer_is_marked_with_its_end(tokenizer):
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Some boats"}]
    output = tokenizer.apply_chat_template(
        turns, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    ids, marks = output["input_ids"], output["assistant_masks"]
    assert tokenizer.decode([i for i, m in zip(ids, marks, strict=True) if m]) == "Some boats</s>"
    assert tokenizer.decode(ids) == "<s><|user|>Hi<|assistant|>Some boats</s>"
    assert all(tokenizer.convert_tokens_to_ids(role) < 7 for role in ROLES)


def test_template_and_tokens_come_back_from_disk(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    back = AutoTokenizer.from_pretrained(tmp_path)
    text = "<s><|user|><image>Hi {<1><2><3><4>|<90>}</s>"
    assert back(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert back.chat_template == tokenizer.chat_template
