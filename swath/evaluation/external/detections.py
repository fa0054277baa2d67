"""Detections made elsewhere, with scores: result files of COCO and DOTA, and their precision.

F1 counts every box of a file, whatever its score; average precision orders them by it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from swath.annotations.finding_pictures import UNMEASURED, few
from swath.annotations.formats import coco, dota
from swath.annotations.formats.label_folders import lines_of
from swath.annotations.image import AnnotatedImage, Images
from swath.annotations.readers import read
from swath.annotations.splits import split_in
from swath.annotations.tables import load, loads
from swath.boxes import Boxes, Floats
from swath.errors import EvaluationError, RequestError
from swath.evaluation.metrics import detection, matching
from swath.evaluation.metrics.base import Score
from swath.evaluation.metrics.detection import Objects
from swath.evaluation.metrics.grounding import THRESHOLD
from swath.evaluation.predicting import read as read_answer
from swath.evaluation.predictions import Prediction, unanswered
from swath.evaluation.reading import Labels, letters
from swath.evaluation.suites.items import Item, conversations
from swath.evaluation.suites.picture_layouts import of_images
from swath.evaluation.suites.running import Asked
from swath.evaluation.suites.table import Suite
from swath.files import Json
from swath.instructions.tasks.base import Fact
from swath.instructions.tasks.truths import BoxesTruth

COCO, DOTA = "COCO results", "DOTA results"
_TASK1 = "Task1_"
_NOWHERE = np.zeros((4, 2))


@dataclass(frozen=True)
class Detection:
    """A row of a result file.

    Args:
        image: id or name of the picture, a number is COCO's id; once matched, its place.
        name: of the class; a number is COCO's id.
        quad: (4, 2) corners, pixels; a point where they could not be read.
        score: how sure; the least where it could not be read.
        readable: whether box and score were numbers.
    """

    image: str | int
    name: str | int
    quad: Floats
    score: float
    readable: bool = True

    @classmethod
    def of(cls, image: str | int, name: str | int, quad: Floats, score: float) -> Detection:
        """The row of a box and a score that may not be numbers."""
        has_box = bool(np.isfinite(quad).all())
        has_score = math.isfinite(score)
        box = quad if has_box else _NOWHERE
        return cls(image, name, box, score if has_score else -math.inf, has_box and has_score)


@dataclass(frozen=True)
class Truth:
    """What is there.

    Args:
        images: annotated, in the order that ties between equal scores are broken in.
        objects: all boxes; images are numbered.
        ids: of each in COCO, none elsewhere.
        names: a mapping from COCO's category ids to names.
        crowds: COCO's crowds by the place of their image and their class.
    """

    images: Images
    objects: Objects
    ids: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    crowds: Mapping[tuple[int, str], Boxes] = field(default_factory=dict)


@dataclass(frozen=True)
class Detected:
    """Detections matched to a truth.

    Args:
        asked: a question for each class of each image, and one for all others.
        predictions: all boxes of that class there, best first.
        scores: average precision, by metric.
        notes: what was missing, extra, repeated or unreadable, and precision by class.
    """

    asked: Asked
    predictions: list[Prediction]
    scores: dict[str, Score]
    notes: Json = field(default_factory=dict)


def read_detections(path: Path) -> tuple[str, list[Detection]] | None:
    """The kind of a result file and its rows; None for a file of another kind.

    A JSON list of `image_id`, `bbox` (x, y, width, height), `score` and `category_id` or
    `category`; or `Task1_<class>.txt` of DOTA, alone or several in a folder: picture, score and
    four corners a line.

    Raises:
        RequestError: a folder holds no results, or a line has other fields.
    """
    if path.is_dir() or (path.name.startswith(_TASK1) and path.suffix == ".txt"):
        files = sorted(path.glob(f"{_TASK1}*.txt")) if path.is_dir() else [path]
        if not files:
            raise RequestError(f"{path}: holds no {_TASK1}<class>.txt; name a file of answers.")
        return DOTA, list(chain.from_iterable(map(_dota_rows, files)))
    content = load(path, loads) if path.suffix.lower() == ".json" and path.is_file() else None
    head = content[0] if isinstance(content, list) and content else None
    if not isinstance(head, dict) or not {"image_id", "bbox", "score"} <= head.keys():
        return None
    return COCO, [_coco_row(row, f"{path}: entry {n}") for n, row in enumerate(content or ())]


def _dota_rows(file: Path) -> Iterator[Detection]:
    for where, fields in lines_of(file):
        if len(fields) != 10:
            raise RequestError(
                f"{where}: expected picture, score and 8 coordinates, got {len(fields)} fields; "
                f"are these oriented boxes (task 1)?"
            )
        score, *corners = map(_number, fields[1:])
        name = file.stem.removeprefix(_TASK1)
        yield Detection.of(fields[0], name, np.reshape(corners, (4, 2)), score)


def _coco_row(row: Any, where: str) -> Detection:
    row = row if isinstance(row, dict) else {}
    image = row.get("image_id")
    name = row.get("category", row.get("category_id"))
    if not isinstance(name, str | int) or not isinstance(image, str | int):
        raise RequestError(f"{where}: has no image_id or no category_id; is the file whole?")
    box = row.get("bbox")
    quad = np.full((4, 2), math.nan)
    if isinstance(box, list) and len(box) == 4:
        x, y, width, height = map(_number, box)
        if min(width, height) >= 0:
            quad = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
    return Detection.of(image, name, quad, _number(row.get("score")))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def truth_of(suite: Suite, place: Path, kind: str) -> Truth:
    """The boxes of a suite's data; for COCO results a COCO file itself, whose pictures may be away.

    Raises:
        AnnotationError: the data is damaged.
        RequestError: there are several COCO files to choose from.
    """
    files = coco.box_files(place) if kind == COCO else []
    if suite.split and any(split_in(file) == suite.split for file, _ in files):
        files = [pair for pair in files if split_in(pair[0]) == suite.split]
    if len(files) > 1:
        raise RequestError(
            f"{place}: holds {few([file.name for file, _ in files])}; say which the results are "
            f"of, as in --suite {suite.name}={files[0][0]}."
        )
    if files:
        return _coco_truth(*files[0])
    images = read(place, suite.options.get("format", "auto"))
    if suite.split and any(image.split for image in images):
        images = [image for image in images if image.split == suite.split]
    hard = dota.difficult(place) if place.is_dir() and dota.recognises(place) else {}
    difficult: list[bool] = []
    for image in images:
        difficult += hard.get(image.id, [False] * len(image.names))
    objects = Objects.of(
        [image.boxes for image in images], [image.names for image in images], difficult=difficult
    )
    if kind == COCO:
        objects = replace(objects, boxes=Boxes.from_hbb(objects.boxes.hbb))
    return Truth(images, objects)


def _coco_truth(file: Path, content: Json) -> Truth:
    truth = coco.boxed(file, content)
    pictures = sorted(truth.pictures.values(), key=_in_order)
    of_picture: dict[str, list[coco.Annotation]] = {picture.id: [] for picture in pictures}
    for row in truth.annotations:
        of_picture[row.image_id].append(row)
    images = []
    boxes = []
    names = []
    crowds: dict[tuple[int, str], list[int]] = defaultdict(list)
    for place, picture in enumerate(pictures):
        rows = of_picture[picture.id]
        xywh = np.array([row.bbox for row in rows], dtype=np.float64).reshape(-1, 4)
        boxes.append(Boxes.from_hbb(np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]])))
        names.append([truth.names[str(row.category_id)] for row in rows])
        single = []
        for number, row in enumerate(rows):
            if row.iscrowd:
                crowds[place, names[-1][number]].append(number)
            else:
                single.append(number)
        name = str(picture.file_name or picture.id)
        image = AnnotatedImage(
            id=name,
            path=str(file.parent / name),
            size_wh=UNMEASURED,
            boxes=boxes[-1][single],
            names=tuple(names[-1][number] for number in single),
        )
        images.append(image)
    everything = list(chain.from_iterable(of_picture.values()))
    objects = Objects.of(
        boxes,
        names,
        difficult=[bool(row.iscrowd) for row in everything],
        areas=[_area(row) for row in everything],
    )
    return Truth(
        images=images,
        objects=objects,
        ids=[picture.id for picture in pictures],
        names=truth.names,
        crowds={key: boxes[key[0]][numbers] for key, numbers in crowds.items()},
    )


def _area(row: coco.Annotation) -> float:
    assert row.bbox is not None  # of `coco.boxed`
    return row.bbox[2] * row.bbox[3] if row.area is None else row.area


def _in_order(picture: coco.Picture) -> tuple[bool, int, str]:
    """Numbers before words."""
    is_number = picture.id.isdecimal()
    return not is_number, int(picture.id) if is_number else 0, picture.id


def score_detections(suite: Suite, place: Path, kind: str, rows: Sequence[Detection]) -> Detected:
    """Detections scored against a suite's boxes.

    Rows of pictures and classes that the truth does not know are counted and named: there is
    nothing to score them against. A box of a class that its picture does not show is wrong, and so
    is one that cannot be read. Equal rows count as often as they stand.

    Raises:
        EvaluationError: no row is of a picture of the truth, or one may be of several.
        RequestError: the suite's task is not "ground", or classes are numbers without names.
    """
    if suite.task != "ground":
        raise RequestError(
            f"--suite {suite.name}: detections are scored by a suite of task 'ground', such as "
            f"boxes=FOLDER."
        )
    modes = [mode for mode in suite.modes if mode != "unscored-ap"]  # these have scores
    suite = suite.model_copy(update={"modes": modes})
    truth = truth_of(suite, place, kind)
    ids = [image.id for image in truth.images]
    matched, extra, unknown = _matched(truth, rows, place)
    if rows and len(extra) == len(rows):
        raise EvaluationError(
            f"{suite.name}: none of {len(rows)} boxes is on a picture of {place}; the results' are "
            f"called {few(list(dict.fromkeys(extra)))}, the suite's {few(ids)}."
        )
    quads = np.array([row.quad for row in matched]).reshape(-1, 4, 2)
    answers = Objects(
        images=[detection.numbered(int(row.image)) for row in matched],
        names=[str(row.name) for row in matched],
        boxes=Boxes(quads),
        scores=[row.score for row in matched],
    )
    values, per_class = _precision(kind, answers, truth.objects)
    unreadable = [ids[int(row.image)] for row in matched if not row.readable]
    scores = {name: Score(value, len(ids), len(unreadable)) for name, value in values.items()}
    asked, predictions = _answered(suite, truth, matched)
    with_boxes = {row.image for row in matched}
    without = [name for place, name in enumerate(ids) if place not in with_boxes]
    counts = Counter((row.image, row.name, row.quad.tobytes(), row.score) for row in matched)
    repeated = [ids[int(key[0])] for key, times in counts.items() for _ in range(times - 1)]
    notes = {
        "matched_by": "picture and class",
        "without boxes": _note(without, "pictures"),
        "on no picture of the truth": _note(extra, "boxes"),
        "of no class of the truth": _note(unknown, "boxes"),
        "repeated": _note(repeated, "boxes"),
        "unreadable": _note(unreadable, "boxes"),
        "average precision": {"by class": per_class},
    }
    return Detected(asked, predictions, scores, notes)


def _matched(
    truth: Truth, rows: Sequence[Detection], place: Path
) -> tuple[list[Detection], list[str], list[str]]:
    """Rows of the truth's images and classes; images, and classes, that it does not have."""
    places = _Places(truth)
    classes = {*truth.objects.names, *truth.names.values()}
    alike = {letters(name): name for name in sorted(classes)}
    matched = []
    extra = []
    unknown = []
    for row in rows:
        image = places.of(row.image)
        name = row.name
        if isinstance(name, int) or (name not in classes and name in truth.names):
            if not truth.names:
                raise RequestError(
                    f"category_id {name} has no name: the truth at {place} is no COCO file; write "
                    f"`category` with the name into each row."
                )
            name = truth.names.get(str(name), str(name))
        if name not in classes:
            name = alike.get(letters(name), name)
        if image is None:
            extra.append(str(row.image))
        elif name not in classes:
            unknown.append(name)
        else:
            matched.append(replace(row, image=image, name=name))
    return matched, extra, unknown


def _note(names: Sequence[str], of: str) -> Json:
    """How many of something there are, and the first."""
    return {"count": len(names), "first": list(dict.fromkeys(names))[:20], "of": of}


class _Places:
    """The image that a row names: by COCO's id, its path or id, its file's name, or the stem."""

    def __init__(self, truth: Truth) -> None:
        self._images = truth.images
        self._places: dict[tuple[int, str], list[int]] = defaultdict(list)
        for place, image in enumerate(truth.images):
            file = PurePath(image.path)
            id = truth.ids[place] if truth.ids else ""
            for key in enumerate((id, image.id, file.name, file.stem)):
                self._places[key].append(place)

    def of(self, image: str | int) -> int | None:
        """Its place, None for no image of the truth."""
        file = PurePath(str(image).replace("\\", "/"))
        for key in enumerate((str(image), str(file), file.name, file.stem)):
            places = self._places.get(key, [])
            if len(places) > 1:
                raise EvaluationError(
                    f"'{image}' may be {' or '.join(self._images[n].id for n in places)}; "
                    f"write the picture's path into the results."
                )
            if places:
                return places[0]
        return None


def _precision(
    kind: str, answers: Objects, truth: Objects
) -> tuple[dict[str, float], dict[str, float]]:
    """Average precision by metric, and by class; of sizes that nothing has there is none."""
    if kind == COCO:
        scores, per_class = detection.coco(answers, truth)
        there = {name.lower(): value for name, value in scores.items() if value >= 0}
        return {name: value for name, value in there.items() if name.startswith("ap")}, per_class
    means: dict[str, float] = {}
    for metric, eleven in (("map_area", False), ("map_11", True)):
        averages = detection.dota(answers, truth, eleven=eleven)
        per_class = {name: average.ap for name, average in averages.items()}
        means[metric] = float(np.mean(list(per_class.values())))
    return means, per_class


def _answered(
    suite: Suite, truth: Truth, matched: Sequence[Detection]
) -> tuple[Asked, list[Prediction]]:
    """A question for each class of each image, answered by the boxes of that class there.

    One more for each image is about all classes that are not there: what answers it is wrong. As
    in COCO's rule a box that lies in a crowd of its class is left out, unless it finds an object.
    """
    items = list(of_images(truth.images, suite))
    for image in truth.images:
        absent = Fact(BoxesTruth(Boxes.empty(), ""), {"phrase": "anything else"})
        items.append(Item(f"{image.id}#absent", (image.path,), absent, image.size_wh))
    asked = Asked(suite, conversations(suite, items, suite.prompt), [], [], suite.prompt)
    boxes: dict[tuple[str, str], list[Detection]] = defaultdict(list)
    for row in matched:
        place, name = int(row.image), str(row.name)
        image = truth.images[place]
        if not _lies_in_crowd(Boxes(row.quad[None]), image.boxes, truth.crowds.get((place, name))):
            boxes[image.path, name if name in image.names else ""].append(row)
    predictions = []
    for conversation in asked.conversations:
        blank = unanswered(conversation)
        detections = boxes.get((blank.image, blank.truth.get("name")), [])
        detections.sort(key=lambda box: -box.score)
        quads = np.array([box.quad for box in detections])
        words = f"{len(detections)} boxes"
        predictions.append(read_answer(conversation, words, Boxes(quads), Labels(())))
    return asked, predictions


def _lies_in_crowd(answer: Boxes, there: Boxes, crowds: Boxes | None) -> bool:
    if crowds is None or matching.overlaps(answer, there).max(initial=0.0) >= THRESHOLD:
        return False
    low, high = np.tile(crowds.hbb.reshape(-1, 2, 2), 2).transpose(1, 0, 2)
    inside = Boxes.from_hbb(np.clip(answer.hbb, low, high))
    return bool(matching.overlaps(answer, inside, upright=True).max() >= THRESHOLD)
