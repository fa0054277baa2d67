"""What `compare` asks is what the run's own rows ask, word by word and pixel by pixel."""

from dataclasses import replace

import numpy as np
import pytest

from swath.annotations.drawn import draw_set
from swath.annotations.image import write_images
from swath.boxes import Boxes
from swath.imagery.opening import open_scene
from swath.inference.compare import compare
from swath.inference.scenes.tile_plan import TunedOn
from swath.inference.two_dates.alignment import aligned
from swath.inference.two_dates.pair_questions import questions_of
from swath.instructions.builder import build_into
from swath.instructions.conversation import Image
from swath.instructions.phrasing import PHRASINGS
from swath.models.engine import Answer
from swath.recipes import dump, load_recipe

SIDE_PX = 64
DAMAGED = ("no-damage building", "destroyed building")


class Listener:
    """An engine that keeps what it is asked."""

    def __init__(self):
        self.asked = []

    def answer(self, questions, max_new_tokens=64, progress=None, schema=None):
        self.asked += questions
        return [Answer("nothing") for _ in questions]

    def score(self, questions, candidates, progress=None):
        self.asked += questions
        return [np.log([0.5, 0.5]) for _ in questions]


def run_of(folder, tasks, damaged):
    """A run's folder up to its tuning, of two drawn pairs to tune on and two to test."""
    images = draw_set(folder / "drawn", ["orchard"], 4, seed=0, size_px=SIDE_PX, change=True)
    images = [replace(image, split=("train", "test")[n % 2]) for n, image in enumerate(images)]
    if damaged:
        boxes = Boxes.from_hbb([[4, 4, 12, 12], [20, 20, 30, 30]])
        truth = {"boxes": boxes, "names": DAMAGED, "phrases": (), "questions": ()}
        images = [replace(image, **truth, listed=DAMAGED) for image in images]
    recipe = load_recipe("quickstart", [f"instructions.tasks=[{tasks}]"])
    (folder / "recipe.yaml").write_text(dump(recipe))
    built = build_into(folder / "set", images, recipe.instructions, 0)
    write_images(folder / "set" / "images.jsonl", images)
    return images, built


def shown(question):
    """Who says what of which pixels."""
    turns = []
    for turn in question.turns:
        parts = [
            open_scene(part.path).read_rgb().tolist() if isinstance(part, Image) else part
            for part in turn.parts
        ]
        turns.append((turn.role, parts))
    return question.task, turns


@pytest.mark.parametrize(
    ("tasks", "damaged", "count"),
    [("question, ground, caption", False, 3), ("ground, caption, damage", True, 4)],
)
def test_a_run_is_asked_about_a_pair_what_its_rows_ask(tmp_path, tasks, damaged, count):
    images, built = run_of(tmp_path, tasks, damaged)
    wordings = PHRASINGS.get("quickstart").wordings
    for image in images:
        engine = Listener()
        pair = aligned(*image.frames, tmp_path / "scratch")
        compare("m", engine, pair, questions_of(tmp_path), TunedOn(SIDE_PX))
        asked = [shown(question) for question in engine.asked]
        rows = [row.question for row in built.split(image.split) if row.scene == image.scene]
        rows = [row for row in rows if row.images[0].path == image.frames[0]]
        assert len(asked) >= count and rows
        for row in rows:
            task, turns = shown(row)
            if image.split == "test":  # asked in the first wording, as compare asks
                assert (task, turns) in asked
            else:
                pictures = [others[-1][1][:2] for kind, others in asked if kind == task]
                assert turns[-1][1][:2] in pictures
                assert len(wordings[task]) > 1 or (task, turns) in asked
