"""The contact sheet: training rows as the model reads them, boxes read back from their text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from swath.dialect import DIALECTS
from swath.errors import InstructionError
from swath.files import replacing
from swath.instructions.conversation import Box, Conversation
from swath.models.inputs import Inputs
from swath.models.loading import load_base
from swath.models.pixels import PixelStore
from swath.recipe import Recipe

COLUMNS, ROWS, PICTURE_PX, TEXT_PX = 4, 3, 240, 120
SIGN = "swath contact sheet"
"""Stands in the picture as the software that wrote it."""


def contact_sheet(conversations: Sequence[Conversation], recipe: Recipe, path: Path | str) -> None:
    """Draw rows as training sees them: turned, and with the box its text says.

    A box is drawn from the family's own text through its reader, so that a wrong writer, reader
    or turn shows as a box beside its object.

    Raises:
        InstructionError: there is no row to draw.
    """
    if not conversations:
        raise InstructionError("the set has no training rows to draw.")
    rng = np.random.default_rng(recipe.seed)
    boxed = [c for c in conversations if any(isinstance(part, Box) for part in c.parts)]
    unboxed = [c for c in conversations if c not in boxed]
    half = COLUMNS * ROWS // 2
    chosen = [*_some(boxed, half, rng), *_some(unboxed, COLUMNS * ROWS - half, rng)]
    loaded = load_base(recipe.models, (), recipe.seed, recipe.imagery)
    encoder = Inputs(loaded).encoder
    imagery, augment = recipe.imagery, recipe.tuning.stages[0].augment
    store = PixelStore(loaded.image_size, PICTURE_PX, fit=imagery.fit, rendering=imagery.rendering)
    dialect = DIALECTS.get(loaded.family.dialect)
    sheet = Image.new("RGB", (COLUMNS * PICTURE_PX, ROWS * (PICTURE_PX + TEXT_PX)), "white")
    draw = ImageDraw.Draw(sheet)
    # The image's own tokens say nothing to a reader, and all rows begin alike before them.
    token = loaded.tokenizer.convert_tokens_to_ids(loaded.family.image_token)
    for number, conversation in enumerate(chosen):
        whole_picture = conversation.needs_whole_picture
        before = rng.bit_generator.state
        views = []
        for image in conversation.images:
            rng.bit_generator.state = before  # all frames are turned and cut alike
            view = store.augmented(image.path, augment, conversation.upright, whole_picture, rng)
            views.append(view)
        ids = encoder.encode(conversation, views).ids
        after_image = ids[ids.index(token) :] if token in ids else ids
        text = loaded.tokenizer.decode([id for id in after_image if id != token])
        x = number % COLUMNS * PICTURE_PX
        y = number // COLUMNS * (PICTURE_PX + TEXT_PX)
        side = PICTURE_PX - 6
        scale = side / store.image_size
        sheet.paste(Image.fromarray(views[0].pixels).resize((side, side)), (x, y))
        for quad in dialect.read(text, (store.image_size, store.image_size)).quads:
            corners = [(x + cx * scale, y + cy * scale) for cx, cy in quad]
            draw.polygon(corners, outline=(255, 40, 40), width=2)
        lines = [line for part in text.split("\n") for line in wrap(part, 38)]
        draw.text((x + 2, y + PICTURE_PX), "\n".join(lines[:8]), fill="black")
    with replacing(path) as temporary:
        about = PngInfo()
        about.add_text("Software", SIGN)
        sheet.save(temporary, format="PNG", pnginfo=about)


def _some(rows: Sequence[Conversation], count: int, rng: np.random.Generator) -> list[Conversation]:
    return [rows[i] for i in rng.permutation(len(rows))[:count]]
