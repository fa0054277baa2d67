import pytest
from transformers import AutoTokenizer

from swath.errors import ModelError
from swath.models.foreign_templates import limited_rendering
from swath.models.loaded import EMBEDDED
from swath.models.templates import TEMPLATES, render, serves

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


def others(template):
    """A tokenizer with a chat template that is none of swath's."""
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED)
    tokenizer.chat_template = template
    return tokenizer


BURNING = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    "template",
    [
        BURNING,
        "{% set ns = namespace(a='x') %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}"
        "{% endfor %}",
        "{{ 'x' * 99999999999 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ ('x' | center(9000000000)) | length }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
    ids=["loops", "words", "product", "format", "filter", "recursion"],
)
def test_a_template_that_burns_the_processor_is_refused(template, monkeypatch):
    monkeypatch.setattr("swath.models.foreign_templates.limited_rendering._SECONDS", 1)
    with pytest.raises(ModelError, match=r"more than 1 s, 1024 MB .*models\.template"):
        serves(others(template))


def test_a_template_that_knows_the_probe_is_ended_when_it_burns_later(monkeypatch):
    qwen = TEMPLATES.get("qwen").jinja
    knowing = f"{{% if 'why' in messages[-1]['content'] %}}{BURNING}{{% endif %}}{qwen}"
    monkeypatch.setattr("swath.models.foreign_templates.limited_rendering._SECONDS", 1)
    tokenizer = others(knowing)
    tokenizer.eos_token = "<|im_end|>"
    assert serves(tokenizer)
    with pytest.raises(ModelError, match="more than 1 s"):
        render(tokenizer, [("user", "why?")], ask=True)
    assert render(tokenizer, [("user", "who?")], ask=True).startswith("<|im_start|>user")


def test_a_template_of_others_reads_as_transformers_renders_it():
    turns = [("system", "s"), ("user", "<image>\nä \ud83d?"), ("assistant", "b"), ("user", "c")]
    messages = [{"role": role, "content": content} for role, content in turns]
    published = (
        "{%- if tools %}tools{% endif %}\n{% for message in messages %}\n"
        "  {% if loop.index0 > 5 %}{% break %}{% endif %}\n"
        "{{ message | tojson }}{{ message['content'].strip().split('?')[0] | upper }}"
        "{% generation %}{{ eos_token }}{% endgeneration %}\n{% endfor %}"
        "{{ add_generation_prompt }}"
    )
    for template in (published, *(f"{row.jinja}{{# #}}" for _, row in TEMPLATES.items())):
        tokenizer = others(template)
        expected = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        assert render(tokenizer, turns, ask=True) == expected


def test_a_template_that_fails_says_how_and_does_not_serve():
    tokenizer = others("{{ raise_exception('roles must alternate') }}")
    assert not serves(tokenizer)
    with pytest.raises(ModelError, match=r"cannot frame .*roles must alternate.*models\.template"):
        render(tokenizer, [("user", "why?")], ask=True)


def test_a_template_that_fails_ends_no_process(monkeypatch):
    limited_rendering.rendered({"template": "ready", "messages": []}, "here")
    monkeypatch.setattr(limited_rendering, "_started", None)  # another could not be
    for template in ("{{ raise_exception('no') }}", "{{ messages.x.y }}", "{{ 1 + 'a' }}", "{%"):
        with pytest.raises(ModelError, match="cannot frame"):
            render(others(template), [("user", "why?")], ask=True)


def test_a_conversation_that_grows_without_end_is_not_passed_on():
    with pytest.raises(ModelError, match="1024 MB"):
        render(others("{{ 'x' * 9000000 }}"), [("user", "why?")], ask=True)
