"""`scan --to-review`: the tiles of which a model was least certain, as rows for a person to judge.

review/set/            images.jsonl, conversations.jsonl, card.json: what `swath review` opens
review/review.jsonl    the verdicts, which `instructions.reviewed` makes rows of the next build
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swath.annotations.cutting import shown
from swath.annotations.image import AnnotatedImage, write_images
from swath.boxes import Boxes
from swath.errors import RequestError
from swath.files import replacing_folder, write_json
from swath.imagery.scene import is_address
from swath.imagery.tiling import Tile
from swath.imagery.windows import tile_path
from swath.inference.mapping.class_map import NO_CLASS, ClassMap
from swath.inference.scan import Scan
from swath.inference.scenes.scan_questions import ScanQuestion
from swath.inference.scenes.scan_results import FoundObjects
from swath.inference.scenes.scan_scene import ScannedScene
from swath.instructions.builder import ROWS
from swath.instructions.conversation import (
    Box,
    Conversation,
    Image,
    Turn,
    assistant,
    system,
    user,
    write_conversations,
)
from swath.instructions.tasks.truths import BoxesTruth, LabelTruth, Truth

FOLDER = "review"

SHOWN = 0.5
"""Least share of an object's box that a tile shows for the object to be its own."""


@dataclass(frozen=True, eq=False)
class Doubt:
    """A tile and what it was answered.

    Args:
        confidence: of the answer; of several boxes that of the least sure.
        path: of the scene.
        tile: of it.
        question: that was put.
        answer: as a set holds it.
        truth: that the answer states.
    """

    confidence: float
    path: str
    tile: Tile
    question: ScanQuestion
    answer: Turn
    truth: Truth


def write_doubts(home: Path, scan: Scan, most: int) -> int:
    """Write the least certain answers of a scan as a set to be reviewed; return how many.

    Args:
        home: folder of the scan.
        scan: of files, whose tiles are looked at again when a person judges them.
        most: answers that are taken.

    Raises:
        RequestError: no answer says how certain it is.
    """
    every = (doubt for scanned in scan.scenes for doubt in _doubts(scanned))
    doubts = heapq.nsmallest(most, every, key=lambda doubt: doubt.confidence)  # first ones first
    if not doubts:
        raise RequestError(
            "--to-review: no tile says how certain its answer is; ask for boxes of a model that "
            "tells their probability, or say --classify."
        )
    rows = [_row(doubt, scan.model.asker.instruction) for doubt in doubts]
    images = {row.images[0].path: _image(row) for row in rows}
    with replacing_folder(home / FOLDER / "set", "card.json") as temporary:
        write_images(temporary / "images.jsonl", images.values())
        write_conversations(temporary / ROWS, rows)
        write_json(temporary / "card.json", _card(scan, rows, len(images)))
    return len(rows)


def check_reviewable(paths: Sequence[str]) -> None:
    """Refuse, before anything is asked, scenes whose tiles a later build could not open.

    Raises:
        RequestError: a scene is an address.
    """
    for path in paths:
        if is_address(path):
            raise RequestError(
                f"--to-review: {path} is an address, whose tiles a build does not fetch; copy the "
                f"raster here and scan the file."
            )


def _doubts(scanned: ScannedScene) -> Iterator[Doubt]:
    for result in scanned.results:
        if isinstance(result, ClassMap):
            yield from _doubtful_classes(scanned.path, result)
        elif isinstance(result, FoundObjects) and result.weighed:
            yield from _doubtful_boxes(scanned.path, result)


def _doubtful_classes(path: str, result: ClassMap) -> Iterator[Doubt]:
    for first, (classes, confidence) in result.blocks():
        for row, column in np.argwhere(classes != NO_CLASS).tolist():
            label = result.labels[classes[row, column] - 1]
            yield Doubt(
                confidence=float(confidence[row, column]),
                path=path,
                tile=result.plan[(first + row) * classes.shape[1] + column],
                question=result.question,
                answer=assistant(result.question.choices[label]),
                truth=LabelTruth(label),
            )


def _doubtful_boxes(path: str, result: FoundObjects) -> Iterator[Doubt]:
    """Tiles that showed an object, each with all objects of the scene that lie in it."""
    lows, highs = np.split(result.boxes.hbb, 2, axis=1)
    for number in np.unique(result.objects.tile_ids).tolist():
        tile = result.plan[number]
        left, top, right, bottom = tile.bounds
        near = (lows < (right, bottom)).all(axis=1) & (highs > (left, top)).all(axis=1)
        rows = np.flatnonzero(near)
        rows = rows[shown(result.boxes[rows], tile) >= SHOWN]
        if not len(rows):
            continue
        x, y = tile.origin_xy
        boxes = Boxes.from_rows(result.boxes[rows].shifted((-x, -y)).to_rows())
        yield Doubt(
            confidence=float(result.objects.confidence[rows].min()),
            path=path,
            tile=tile,
            question=result.question,
            answer=assistant(Box(boxes)),
            truth=BoxesTruth(boxes, result.question.label),
        )


def _row(doubt: Doubt, instruction: str) -> Conversation:
    scene = str(Path(doubt.path).absolute())
    path = tile_path(scene, doubt.tile)
    turns = [system(instruction)] if instruction else []
    picture = Image(path, doubt.tile.size_wh)
    turns += [user(picture, "\n" + doubt.question.text), doubt.answer]
    return Conversation(
        id=f"{path}#{doubt.question.task} {doubt.question.label}",
        task=doubt.question.task,
        turns=tuple(turns),
        split="train",
        scene=scene,
        truth=doubt.truth,
    )


def _image(row: Conversation) -> AnnotatedImage:
    picture = row.images[0]
    return AnnotatedImage(
        id=picture.path,
        path=picture.path,
        size_wh=picture.size_wh,
        split="train",
        scene=row.scene,
        source="tiles of a scan, reviewed",
    )


def _card(scan: Scan, rows: Sequence[Conversation], images: int) -> dict[str, Any]:
    """What `swath review` reads of a set."""
    tasks = [row.task for row in rows]
    choices: dict[str, str] = {}
    for question in scan.questions:
        choices |= question.choices
    return {
        "images": {"train": images},
        "conversations": {"train": {task: tasks.count(task) for task in sorted(set(tasks))}},
        "labels": sorted(choices),
        "names": sorted({question.label for question in scan.questions if question.boxed}),
        "choices": {"classify": choices} if choices else {},
        "rendering": scan.model.rendering.model_dump(mode="json"),
        "model": scan.model.name,
    }
