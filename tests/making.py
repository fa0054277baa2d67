"""Pictures, conversations and a tiny model of swath-nano's architecture for the tests."""

from pathlib import Path

import numpy as np
from PIL import Image as Picture

from swath.annotations.contents import write_with_contents
from swath.annotations.image import AnnotatedImage, whole_lists
from swath.boxes import Boxes
from swath.files import write_json
from swath.instructions.builder import InstructionSet, build
from swath.instructions.conversation import (
    Box,
    Conversation,
    Image,
    assistant,
    system,
    user,
    write_conversations,
)
from swath.recipe import Instructions, Recipe
from swath.recipes import validate

RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 200, 30), (30, 30, 220), (110, 110, 110)
COLOURS = {"red": RED, "green": GREEN, "blue": BLUE}
TASKS = ["classify", "caption", "refer", "count"]


def rectangle(path, box_xyxy=(8, 12, 20, 20), size_wh=(32, 32), colour=RED, ground=GREY) -> str:
    """A picture of one coloured rectangle on grey ground."""
    pixels = np.full((size_wh[1], size_wh[0], 3), ground, dtype=np.uint8)
    x1, y1, x2, y2 = box_xyxy
    pixels[y1:y2, x1:x2] = colour
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(pixels).save(path)
    return str(path)


def annotated(folder, count=16, size_px=32, test=4) -> list[AnnotatedImage]:
    """Pictures of one red, green or blue field: its class, a caption, its box; the last are test.

    No two pictures are the same.
    """
    images = []
    for number in range(count):
        name = list(COLOURS)[number % 3]
        x, y = 2 + number % 5 * 3, 3 + number // 5 * 4
        box = (x, y, x + 10, y + 8)
        path = rectangle(
            Path(folder) / f"{name}{number:02d}.png", box, (size_px, size_px), COLOURS[name]
        )
        images.append(
            AnnotatedImage(
                id=f"{name}{number:02d}",
                path=path,
                size_wh=(size_px, size_px),
                label=f"{name} land",
                captions=(f"One {name} field lies on grey land.", f"A {name} field is seen."),
                boxes=Boxes.from_hbb(box),
                names=(f"{name} field",),
                split="test" if number >= count - test else "train",
                source="drawn for a test",
                licence="CC0-1.0",
            )
        )
    return whole_lists(images)


def small_set(folder, count=16, test=4, **instructions) -> InstructionSet:
    """The conversations of `annotated` pictures."""
    section = Instructions(**{"tasks": TASKS, **instructions})
    return build(annotated(folder, count, test=test), section, seed=0)


def tiny_recipe(base, **sections) -> Recipe:
    """A recipe on a tiny base: two steps of four images, in float32 on one thread."""
    stage = {"name": "all", "train": ["vision", "projector", "language"]}
    stage |= {"steps": 2, "batch_size": 4, "learning_rate": 1e-3}
    values = {
        "name": "tiny",
        "annotations": {"source": "drawn for a test"},
        "models": {"base": str(base)},
        "tuning": {"stages": [stage], "precision": "fp32", "threads": 1},
    }
    for name, section in sections.items():
        values[name] = {**values[name], **section} if name in values else section
    return validate(values, "tiny.yaml")


def write_demo(folder: Path, base, train="vision, projector, language") -> Path:
    """Write a recipe for a tiny quickstart: 24 small scenes, two steps on a tiny base."""
    file = folder / "demo.yaml"
    file.write_text(
        "extends: quickstart\n"
        "annotations: {drawn: {count: 24, size_px: 48}}\n"
        f"models: {{base: '{base}'}}\n"
        "tuning:\n"
        f"  stages: [{{train: [{train}], steps: 2, batch_size: 4}}]\n"
        "evaluation: {max_new_tokens: 4, resamples: 20}\n"
        "export: {prove_on: 4}\n"
    )
    return file


def asks(path, size_wh=(32, 32), question="What is it?", answer="a red field") -> Conversation:
    """A conversation about one picture."""
    turns = (user(Image(str(path), size_wh), "\n" + question), assistant(answer))
    return Conversation(id="asked", task="classify", turns=turns)


def where(path, boxes: Boxes, size_wh=(32, 32)) -> Conversation:
    """A conversation answered with boxes, after a system instruction."""
    turns = (
        system("Answer with a box."),
        user(Image(str(path), size_wh), "\n[refer] where is <p>the field</p>?"),
        assistant(Box(boxes)),
    )
    return Conversation(id="where", task="refer", turns=turns)


def write_tiny_model(folder: Path, image_size=32, longest=256) -> Path:
    """Save a random swath-nano of a few thousand parameters with its own tokenizer."""
    import torch
    from transformers import LlamaConfig

    from swath.models.architectures.nano import NanoConfig, NanoForConditionalGeneration
    from swath.models.architectures.vocabulary import train_tokenizer

    words = [f"One {name} field lies on grey land. What kind of scene?" for name in COLOURS]
    tokenizer = train_tokenizer(words, size=600)
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=longest,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    config = NanoConfig(image_size, stem_width=8, widths=(8, 16, 16), text_config=text)
    model = NanoForConditionalGeneration(config).eval()
    with torch.no_grad():
        # Weights larger than at birth, so that attention and places matter to the answer.
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "vision_tower" not in name:
                parameter.normal_(0, 0.2)
        # Norms that have seen pictures: their statistics are not those of a new layer.
        for norm in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.8, 1.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_set(folder, images, built: InstructionSet) -> None:
    """A set made by hand, as `build_into` would write it."""
    write_with_contents(folder / "images.jsonl", images)
    write_conversations(folder / "conversations.jsonl", built.conversations)
    write_json(folder / "card.json", built.card)
