"""Pixels and prompts against what the families' own processors in `transformers` make of them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    Blip2Processor,
    CLIPImageProcessorPil,
    Idefics3Processor,
    LlavaProcessor,
    PixtralImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from swath.errors import ModelError
from swath.instructions.conversation import Conversation, Image, user
from swath.models.inputs import Inputs
from swath.models.loaded import EMBEDDED, finish_tokenizer
from swath.models.pixels import PixelStore
from swath.models.templates import ending, render, serves, takes_parts
from tests.models.test_family import _made

NO_RESIZE = {"do_resize": False, "return_tensors": "pt"}


def seen(name, path, side=None):
    """Our inputs of a picture, and the picture as the model's own processor would get it."""
    model = _made(name)
    side = side or model.image_size
    rng = np.random.default_rng(0)
    Picture.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)
    view = PixelStore(side, side).plain(str(path))
    inputs = Inputs(model)
    values = inputs.tensor([view, view])
    return model, inputs.pixels(values, [1, 1]), Picture.open(path)


def test_patches_are_those_of_qwens_processor(tmp_path):
    model, ours, picture = seen("qwen", tmp_path / "a.png")
    theirs = Qwen2VLImageProcessorPil(image_mean=model.mean, image_std=model.std)(
        [picture, picture], **NO_RESIZE
    )
    assert torch.equal(ours["image_grid_thw"], theirs["image_grid_thw"])
    assert torch.allclose(ours["pixel_values"], theirs["pixel_values"], atol=1e-5)


def test_pixels_are_those_of_clips_processor(tmp_path):
    _, ours, picture = seen("llava", tmp_path / "a.png")
    theirs = CLIPImageProcessorPil(do_center_crop=False)([picture, picture], **NO_RESIZE)
    assert torch.allclose(ours["pixel_values"], theirs["pixel_values"], atol=1e-5)


def test_pixels_and_sizes_are_those_of_pixtrals_processor(tmp_path):
    _, ours, picture = seen("pixtral", tmp_path / "a.png")
    theirs = PixtralImageProcessorPil()([picture, picture], **NO_RESIZE)
    assert torch.allclose(ours["pixel_values"], theirs["pixel_values"], atol=1e-5)
    assert ours["image_sizes"].tolist() == [list(size) for size in theirs["image_sizes"]]


def test_pixels_are_those_of_smolvlms_processor(tmp_path):
    _, ours, picture = seen("smolvlm", tmp_path / "a.png")
    edge = {"longest_edge": picture.width}
    processor = SmolVLMImageProcessorPil(
        do_image_splitting=False, size=edge, max_image_size=edge, do_pad=False
    )
    theirs = processor([[picture], [picture]], return_tensors="pt")
    assert ours["pixel_values"].shape == theirs["pixel_values"].shape
    assert torch.allclose(ours["pixel_values"], theirs["pixel_values"], atol=1e-5)


# Chat templates


@pytest.fixture
def tokenizer():
    return AutoTokenizer.from_pretrained(EMBEDDED)


def test_a_template_that_takes_parts_is_given_parts(tokenizer):
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }}:{% for part in m['content'] %}"
        "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}</s>{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
    )
    assert takes_parts(tokenizer) and serves(tokenizer) and ending(tokenizer) == "</s>"
    turns = [("user", "<image>\nWhat?"), ("assistant", "A ship.")]
    assert render(tokenizer, turns, False, True, "<image>") == (
        "user:<image>What?</s>assistant:A ship.</s>"
    )


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for m in messages %}{{ m['content'] }} {% endfor %}", "answers have no end"),
        (
            "{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}</s>{% endfor %}",
            "the system instruction is lost",
        ),
        (
            "{% for m in messages %}{% if loop.last %}{{ messages[0]['content'] }}{% endif %}"
            "{{ m['content'] }}</s>{% endfor %}",
            "the beginning changes when more follows",
        ),
        ("{{ raise_exception('no system') }}", "it refuses"),
    ],
)
def test_a_template_that_cannot_be_tuned_with_gives_way_to_the_familys(tokenizer, template, why):
    family = _made("llava").family
    tokenizer.chat_template = template
    assert not serves(tokenizer), why
    finish_tokenizer(tokenizer, family, "here")
    assert serves(tokenizer) and "USER: " in tokenizer.chat_template


def test_a_tokenizer_without_padding_pads_with_its_end(tokenizer):
    tokenizer.pad_token = None
    finish_tokenizer(tokenizer, _made("llava").family, "here")
    assert tokenizer.pad_token == "</s>"


def test_a_tokenizer_with_neither_is_refused(tokenizer):
    tokenizer.pad_token = tokenizer.eos_token = None
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}<|user|>{% endfor %}"
    with pytest.raises(ModelError, match=r"neither a padding nor an end token.* set pad_token"):
        finish_tokenizer(tokenizer, _made("llava").family, "here")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("llava", LlavaProcessor), ("smolvlm", Idefics3Processor), ("blip-2", Blip2Processor)],
)
def test_a_saved_folder_s_own_processor_gives_the_same_prompt_and_pixels(name, kind, tmp_path):
    model, ours, picture = seen(name, tmp_path / "a.png")
    model.save(tmp_path / "saved")
    pixels = AutoImageProcessor.from_pretrained(tmp_path / "saved", backend="pil")
    words = json.loads((tmp_path / "saved" / "processor_config.json").read_text())
    words.pop("processor_class")
    processor = kind(pixels, AutoTokenizer.from_pretrained(tmp_path / "saved"), **words)
    asked = [{"type": "image"}, {"type": "text", "text": "What is it?"}]
    prompt = processor.tokenizer.apply_chat_template(
        [{"role": "user", "content": asked}], tokenize=False, add_generation_prompt=True
    )
    if name == "blip-2":  # its processor puts the image in front by itself
        prompt = prompt.replace("<image>", "")
    theirs = processor(text=prompt, images=picture, return_tensors="pt", add_special_tokens=False)
    size = picture.size
    turns = (user(Image(str(tmp_path / "a.png"), size), "\nWhat is it?"),)
    inputs = Inputs(model)
    view = PixelStore(model.image_size, model.image_size).plain(str(tmp_path / "a.png"))
    encoded = inputs.encoder.encode(Conversation("a", "ask", turns), [view], ask=True)
    assert theirs["input_ids"][0].tolist() == list(encoded.ids)
    assert torch.allclose(theirs["pixel_values"][:1], ours["pixel_values"][:1], atol=1e-5)
