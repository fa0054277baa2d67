"""`Item`: a question of a benchmark with its truth, before it is put in words and measured."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from swath.annotations.finding_pictures import UNMEASURED, PictureFinder, absolute, few, is_clip
from swath.annotations.parsing import boxes_of
from swath.boxes import Boxes, Size
from swath.errors import AnnotationError, ImageryError
from swath.evaluation.papers.reading_rules import DAMAGE, strict_damage
from swath.evaluation.reading import read_count
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.suites.table import Suite
from swath.files import Json
from swath.imagery.opening import open_scene
from swath.imagery.video import frames_of
from swath.instructions.conversation import Conversation, Image, Part, user
from swath.instructions.language import spoken
from swath.instructions.tasks.base import Fact, filled
from swath.instructions.tasks.pairs import damage_text
from swath.instructions.tasks.truths import (
    AnswerTruth,
    BoxesTruth,
    CaptionsTruth,
    CountTruth,
    DamageTruth,
    LabelsTruth,
    LabelTruth,
    NameTruth,
    Truth,
    truth_kind,
)
from swath.registry import Registry


@dataclass(frozen=True)
class Item:
    """One question.

    Args:
        id: as the benchmark numbers it, unique in the suite.
        images: paths of its pictures, in order of time; they may be absent where only answers
            are scored.
        fact: what is asked, with its truth.
        size_wh: of the pictures in pixels where the annotations say it.
        scene: questions of one scene are resampled together; "" for the (first) picture.
    """

    id: str
    images: tuple[str, ...]
    fact: Fact[Any]
    size_wh: Size = UNMEASURED
    scene: str = ""


_PLACE = re.compile(r"\{(\w+)\}")

Layout = Callable[[Path, Suite], Iterable[Item]]
"""Reads the items of a suite's split from its folder."""

LAYOUTS: Registry[Layout] = Registry("suite reader", "swath.suite_readers")


class Pictures:
    """Finds the pictures and clips a benchmark names, anywhere below its folder.

    Args:
        folder: of the data.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = absolute(folder if folder.is_dir() else folder.parent)
        self._finder = PictureFinder(self.folder, self.folder / "annotations.json")

    def __call__(self, name: str) -> str:
        """Path of the picture of a name, whatever its suffix; a path in `images` if it is absent.

        Raises:
            AnnotationError: the name leads outside the folder, or fits two files.
        """
        return str(self._finder.find(name) or self.folder / "images" / name.replace("\\", "/"))


def conversations(
    suite: Suite, items: Sequence[Item], prompt: str, labels: Sequence[str] = ()
) -> list[Conversation]:
    """The items as questions, in their order.

    Args:
        items: with distinct ids.
        prompt: the wording; its places are filled with the item's words.
        labels: what {labels} lists.

    Raises:
        AnnotationError: two items share an id, or a place of the prompt stays empty.
    """
    names = [spoken(label) for label in labels]
    comma = "; " if any("," in name for name in names) else ", "
    listed = comma.join(names)
    for name, times in Counter(item.id for item in items).items():
        if times > 1:
            raise AnnotationError(f"{suite.name}: two questions of the id '{name}'; keep one.")
    questions = []
    for item in items:
        places = ["labels", *item.fact.words]
        empty = [place for place in _PLACE.findall(prompt) if place not in (*places, "box")]
        if empty:
            raise AnnotationError(
                f"{suite.name}: the prompt has {{{empty[0]}}}, which '{item.id}' does not fill; "
                f"it fills {', '.join(f'{{{place}}}' for place in places)}."
            )
        if "{box}" in prompt and item.fact.box is None:
            raise AnnotationError(f"{suite.name}: '{item.id}' asks about a box and has none.")
        pictures = [Image(path, item.size_wh) for path in item.images]
        turn = user(*pictures, *filled(f"\n{prompt}", item.fact, labels=listed))
        scene = item.scene or (item.images[0] if item.images else item.id)
        question = Conversation(item.id, suite.task, (turn,), "test", scene, item.fact.truth)
        questions.append(question)
    return questions


def stated_truth(task: str, value: Any, size_wh: Size, where: str, kind: str = "") -> Truth:
    """What a task is scored against, as a row of a file states it.

    Args:
        value: boxes, a text or number, or a list of texts.
        size_wh: of the picture that boxes lie on.

    Raises:
        AnnotationError: it is no truth of that task.
    """
    of_task = truth_kind(task)
    texts = [words(text) for text in value] if isinstance(value, list) else [words(value)]
    if of_task is BoxesTruth:
        none = value in ([], "[]") and SCORED.get(task).may_be_none
        return BoxesTruth(Boxes.empty() if none else boxes_of(value, size_wh, where))
    if of_task is DamageTruth:
        counts = strict_damage(words(value))
        if counts is None:
            raise AnnotationError(f"{where}: expected the whole numbers {', '.join(DAMAGE)}.")
        return DamageTruth(counts, damage_text(counts))
    if of_task is CaptionsTruth:
        return CaptionsTruth(tuple(texts))
    if of_task is LabelsTruth:
        labels = texts if isinstance(value, list) else texts[0].split(";")
        return LabelsTruth(tuple(label.strip() for label in labels))
    if len(texts) != 1:
        raise AnnotationError(f"{where} states {len(texts)} truths; a '{task}' has one.")
    if of_task is AnswerTruth:
        return AnswerTruth(texts[0], kind)
    if of_task is not CountTruth:
        return of_task.from_row({SCORED.get(task).truth: texts[0]})
    count, problem = read_count(texts[0])
    if count is None or problem:
        raise AnnotationError(f"{where}: expected a count, got '{texts[0]}'; write a whole number.")
    return CountTruth(count)


def vocabulary(truths: Iterable[Truth]) -> tuple[list[str], list[str]]:
    """The scene classes that some truths hold, and the objects; sorted."""
    labels: set[str] = set()
    names = set()
    for truth in truths:
        if isinstance(truth, LabelTruth | CaptionsTruth) and truth.label:
            labels.add(truth.label)
        elif isinstance(truth, LabelsTruth):
            labels.update(truth.labels)
        elif isinstance(truth, NameTruth):
            names.add(truth.name)
    return sorted(labels), sorted(names)


def words(value: Any) -> str:
    """A value as an answer or a name: text, whole numbers without a point, or JSON."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # as tables write ids
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value)


def measured(
    suite: Suite, questions: Sequence[Conversation], frames: int = 8
) -> list[Conversation]:
    """The questions with the sizes of their pictures, clips as frames.

    Raises:
        AnnotationError: pictures are absent or cannot be opened, or are not of the size that the
            annotations claim; says where to get them.
    """
    paths = sorted({image.path for question in questions for image in question.images})
    absent = [path for path in paths if not Path(path).is_file()]
    if absent:
        raise AnnotationError(
            f"{suite.name}: {len(absent)} of {len(paths)} pictures are not there: {few(absent)}; "
            f"get them from {suite.where or 'its authors'} (licence: {suite.licence})."
        )
    with ThreadPoolExecutor(max_workers=4) as pool:
        opened = pool.map(lambda path: _opened(path, frames), paths)
        pictures = dict(zip(paths, opened, strict=True))
    failed = [picture for picture in pictures.values() if isinstance(picture, str)]
    if failed:
        raise AnnotationError(f"{suite.name}: {len(failed)} pictures cannot be read: {few(failed)}")
    return [replace(row, turns=(user(*_parts(row, pictures)),)) for row in questions]


def _opened(path: str, frames: int) -> list[Image] | str:
    """The frames of a clip or the picture itself, measured; or why it cannot be opened."""
    try:
        names = frames_of(path, frames) if is_clip(Path(path)) else [path]
        size_wh = open_scene(names[0]).size_wh
        return [Image(name, size_wh) for name in names]
    except ImageryError as error:
        return str(error)


def _parts(question: Conversation, pictures: Json) -> Iterable[Part]:
    """The parts of a question, its pictures measured."""
    for part in question.turns[0].parts:
        if not isinstance(part, Image):
            yield part
            continue
        images = pictures[part.path]
        size = images[0].size_wh
        if part.size_wh not in (UNMEASURED, size):
            raise AnnotationError(
                f"{part.path}: annotated as {part.size_wh[0]} x {part.size_wh[1]} px, the file has "
                f"{size[0]} x {size[1]} px; use the picture that was annotated."
            )
        yield from images
