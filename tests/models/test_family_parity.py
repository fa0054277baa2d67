"""Families against `transformers`: its own processor and `generate`, on the same picture and words.

A family's model is tiny and random, but of its true architecture; its processor is made of the
files that swath writes beside it. Where `transformers` wants torchvision for videos, that part of
the processor is left out.
"""

import copy
import json

import pytest
import torch
from PIL import Image as Picture
from transformers import (
    AutoTokenizer,
    Gemma3ImageProcessorPil,
    Gemma3Processor,
    Glm4vImageProcessorPil,
    Glm4vProcessor,
    GotOcr2ImageProcessorPil,
    InternVLProcessor,
    LlavaOnevisionImageProcessorPil,
    LlavaOnevisionProcessor,
    PaliGemmaProcessor,
    PixtralImageProcessorPil,
    Qwen3VLProcessor,
    SiglipImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from swath.boxes import Boxes, iou
from swath.instructions.conversation import Box, Conversation, Image, assistant, user
from swath.models.encoding import IGNORED, join
from swath.models.engine import LocalEngine
from swath.models.inputs import Inputs, answers_only, head_of
from swath.models.loading import load_base
from swath.models.pixels import PixelStore
from swath.recipe import Imagery, Models
from swath.tuning.losses import text_loss
from tests.making import rectangle
from tests.models.test_family import FAMILIES, _made

pytestmark = pytest.mark.numeric

QUESTION = "What is it?"
PROCESSORS = {
    "qwen3": (Qwen3VLProcessor, Qwen2VLImageProcessorPil),
    "glm4v": (Glm4vProcessor, Glm4vImageProcessorPil),
    "internvl": (InternVLProcessor, GotOcr2ImageProcessorPil),
    "paligemma": (PaliGemmaProcessor, SiglipImageProcessorPil),
    "gemma3": (Gemma3Processor, Gemma3ImageProcessorPil),
    "onevision": (LlavaOnevisionProcessor, LlavaOnevisionImageProcessorPil),
    "mistral3": (
        None,
        PixtralImageProcessorPil,
    ),  # its processor wants torchvision
}
NAMES = {  # of tokens that a published tokenizer brings, by what a processor calls them
    "internvl": {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    },
    "gemma3": {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    },
}


def without_videos(kind):
    """A processor's class that asks for no processor of videos."""

    class ImagesAlone:
        def check_argument_for_proper_class(self, name, argument):
            known = super().check_argument_for_proper_class
            return None if name == "video_processor" else known(name, argument)

        @classmethod
        def get_attributes(cls):
            return [name for name in super().get_attributes() if name != "video_processor"]

    return type(kind.__name__, (ImagesAlone, kind), {})


def read_by_their_own(name, model, folder, picture, answer=""):
    """What the family's processor makes of a picture, the question, and the answer behind it."""
    kind, pixels = PROCESSORS[name]
    model.save(folder)
    pixels = pixels.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, extra_special_tokens=NAMES.get(name))
    asked = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    turns = [{"role": "user", "content": asked}]
    prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    given = {"images": picture, "return_tensors": "pt", "add_special_tokens": False}
    if answer:
        turns.append({"role": "assistant", "content": answer})
        prompt = tokenizer.apply_chat_template(turns, tokenize=False).rstrip("\n")
    if kind is None:
        side = model.image_size // 28
        row = "[IMG]" * side
        image = "[IMG_BREAK]".join([row] * side) + "[IMG_END]"
        given.pop("add_special_tokens")
        words = tokenizer(
            prompt.replace("[IMG]\n", image + "\n"), add_special_tokens=False, return_tensors="pt"
        )
        given.pop("images")
        return {**words, **pixels(picture, patch_size=28, **given)}
    settings = json.loads((folder / "processor_config.json").read_text())
    settings.pop("processor_class")
    if name == "paligemma":  # it puts the beginning and the line break there by itself
        prompt = f"<image>{QUESTION}"
        settings = {}
        if answer:
            given["suffix"] = answer
    if name == "gemma3":
        prompt = prompt.replace("<image_soft_token>", "<start_of_image>")
    return without_videos(kind)(pixels, tokenizer, **settings)(text=prompt, **given)


@pytest.fixture(params=PROCESSORS)
def family(request, tmp_path):
    """A family's name, its model with words that are no echo of what it reads, and a picture."""
    model = copy.deepcopy(_made(request.param))
    torch.manual_seed(3)
    head = model.model.get_output_embeddings()
    head.weight = torch.nn.Parameter(torch.randn_like(head.weight))
    side = model.image_size
    path = rectangle(tmp_path / "a.png", (4, 6, side // 2, side - 9), (side, side))
    return request.param, model, path


def seen_by_swath(model, path, *turns, ask):
    view = PixelStore(model.image_size, model.image_size).plain(str(path))
    inputs = Inputs(model)
    picture = Image(str(path), (model.image_size, model.image_size))
    conversation = Conversation("a", "ask", (user(picture, "\n" + QUESTION), *turns))
    encoded = inputs.encoder.encode(conversation, [view], ask=ask)
    return inputs, conversation, encoded, inputs.pixels(inputs.tensor([view]), [1])


def test_prompt_pixels_and_answer_are_those_of_the_familys_own_processor(family, tmp_path):
    name, model, path = family
    theirs = read_by_their_own(name, model, tmp_path / "saved", Picture.open(path))
    inputs, conversation, encoded, pixels = seen_by_swath(model, path, ask=True)
    assert theirs["input_ids"][0].tolist() == list(encoded.ids)
    ours = pixels | inputs.asking([encoded])
    assert {*ours} == {*theirs} - {"labels", "num_patches", "batch_num_images"}
    for key, values in ours.items():
        expected = torch.as_tensor(theirs[key])
        assert values.shape == expected.shape
        assert torch.allclose(values.float(), expected.float(), atol=1e-5), key
    settings = {"do_sample": False, "pad_token_id": model.tokenizer.pad_token_id}
    given = {key: torch.as_tensor(theirs[key]) for key in ours}
    end = model.tokenizer.convert_tokens_to_ids(model.end)
    made = model.model.generate(**given, max_new_tokens=6, eos_token_id=end, **settings)
    words = made[0, len(encoded.ids) :]
    said = LocalEngine(model).answer([conversation], max_new_tokens=6)[0].text
    assert said == model.tokenizer.decode(words, skip_special_tokens=True).strip() != ""


def test_the_loss_that_is_learnt_from_is_the_models_own(family, tmp_path):
    name, model, path = family
    answer = "a red field"
    theirs = read_by_their_own(name, model, tmp_path / "saved", Picture.open(path), answer)
    inputs, _, encoded, pixels = seen_by_swath(model, path, assistant(answer), ask=False)
    length = len(encoded.ids) - encoded.answer[::-1].index(True)  # a line break may follow
    assert theirs["input_ids"][0, :length].tolist() == list(encoded.ids)[:length]
    labels = torch.tensor([encoded.ids]).where(torch.tensor([encoded.answer]), IGNORED)[:, :length]
    tokens = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
    given = {
        key: values[:, :length] if key in tokens else values
        for key, values in theirs.items()
        if key in {*tokens, *pixels}
    }
    batch = inputs.training([join([encoded])])
    kept = {key: batch.pop(key) for key in ("labels", "segments")}
    with torch.inference_mode():
        expected = model.model(**given, labels=labels).loss
        with answers_only(head_of(model.model, model), kept["labels"]):
            logits = model.model(**batch, **pixels).logits
    ours = text_loss(logits, kept["labels"], kept["segments"], "token")
    assert float(ours) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("name", [*PROCESSORS, "qwen"])
def test_boxes_learnt_on_an_oblong_picture_come_back_to_it(name, tmp_path):
    section = Models(weights="tiny", **FAMILIES[name])
    known = _made(name)
    small = 4 * known.family.patch(known.model.config) if known.family.any_side else None
    model = load_base(section, seed=1, imagery=Imagery(image_px=small))
    path = rectangle(tmp_path / "wide.png", (8, 10, 40, 30), (64, 40))
    truth = Boxes.from_hbb([8, 10, 40, 30])
    question = (user(Image(str(path), (64, 40)), "\nWhere is it?"),)
    conversation = Conversation("b", "ground", (*question, assistant(Box(truth))))
    inputs, store = Inputs(model), PixelStore(model.image_size, 64)
    view = store.plain(str(path))
    batch = inputs.training([join([inputs.encoder.encode(conversation, [view])])])
    labels, segments = batch.pop("labels"), batch.pop("segments")
    batch |= inputs.pixels(inputs.tensor([view]), [1])
    optimiser = torch.optim.Adam(model.model.parameters(), lr=3e-3)
    model.model.train()
    for _ in range(100):
        with answers_only(head_of(model.model, model), labels):
            logits = model.model(**batch).logits
        loss = text_loss(logits, labels, segments, "token")
        if torch.equal(logits.argmax(dim=1), labels[labels != IGNORED]):
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.model.eval()
    answer = LocalEngine(model).answer([conversation.question], max_new_tokens=80)[0]
    assert iou(answer.boxes, truth)[0] > 0.85, answer.text
