import pytest
from transformers import AutoTokenizer

from swath.errors import ModelError
from swath.models.loaded import EMBEDDED
from swath.models.templates import TEMPLATES, refuse_burning, render

FRAMES = (("user", "<image><image><image>\nfirst?"), ("assistant", "yes"), ("user", "second?"))


def minigpt(turns, ask):
    """Turns as MiniGPT-v2's template frames them, with the signs of its own tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED)
    tokenizer.chat_template = TEMPLATES.get("minigpt").jinja
    tokenizer.bos_token, tokenizer.eos_token = "<s>", "</s>"
    return render(tokenizer, turns, ask)


def test_all_frames_stand_in_one_img_and_every_question_begins_anew():
    assert minigpt(FRAMES, ask=True) == (
        "<s>[INST] <Img><image><image><image></Img> first? [/INST] yes</s><s>[INST] second? [/INST]"
    )


def test_one_picture_is_framed_as_minigpt_has_it_and_an_instruction_stands_first():
    asked = (("system", "Be brief."), ("user", "<image>\n[vqa] why?"))
    assert minigpt(asked, ask=True) == "<s>Be brief. [INST] <Img><image></Img> [vqa] why? [/INST]"
    again = (*asked, ("assistant", "so"), ("user", "and?"))
    assert minigpt(again, ask=True).endswith("[/INST] so</s><s>[INST] and? [/INST]")


def test_pictures_in_parts_are_framed_as_those_in_words():
    content = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "first?"}]
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED)
    tokenizer.chat_template = TEMPLATES.get("minigpt").jinja
    tokenizer.bos_token = "<s>"
    messages = [{"role": "user", "content": content}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert text == "<s>[INST] <Img><image><image></Img> first? [/INST]"


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(a='x') %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}"
        "{% endfor %}",
        "{{ 'x' * 99999999999 }}",
    ],
    ids=["loops", "words", "product"],
)
def test_a_template_that_burns_the_processor_is_refused(template, monkeypatch):
    monkeypatch.setattr("swath.models.templates._SECONDS", 1)
    with pytest.raises(ModelError, match=r"base: its chat template takes more than 1 s or 1024 MB"):
        refuse_burning(template, "base")


def test_templates_that_end_are_not_refused():
    refuse_burning(TEMPLATES.get("qwen").jinja + " ", "base")
    refuse_burning({"default": "{{ messages[0].content }}", "tool": "{{ no.such.thing }}"}, "base")
