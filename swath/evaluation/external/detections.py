"""Detections made elsewhere, with scores: result files of COCO and DOTA, and their precision.

F1 counts every box of a file, whatever its score; average precision orders them by it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
        image: id or name of the picture; a number is COCO's id.
        name: of the class; a number is COCO's id.
        quad: (4, 2) corners, pixels; a point where they could not be read.
        score: how sure; the least where it could not be read.
        readable: whether box and score were numbers.
    """

    image: str | int
    name: str | int
    quad: Any
    score: float
    readable: bool = True


@dataclass(frozen=True)
class Truth:
    """What is there.

    Args:
        images: annotated, in the order that ties between equal scores are broken in.
        ids: of each in COCO, none elsewhere.
        names: a mapping from COCO's category ids to names.
        objects: all boxes; images are numbered.
    """

    images: Images
    ids: Sequence[Any]
    names: dict[Any, str]
    objects: Objects


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
        yield _row(fields[0], name, np.reshape(corners, (4, 2)), score)


def _coco_row(row: Any, where: str) -> Detection:
    row = row if isinstance(row, dict) else {}
    image = row.get("image_id")
    name = row.get("category", row.get("category_id"))
    if not isinstance(name, str | int) or not isinstance(image, str | int):
        raise RequestError(f"{where}: has no image_id or no category_id; is the file whole?")
    quad = np.full((4, 2), math.nan)
    box = row.get("bbox")
    if isinstance(box, list) and len(box) == 4:
        x, y, width, height = map(_number, box)
        if min(width, height) >= 0:
            quad = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
    return _row(image, name, quad, _number(row.get("score")))


def _row(image: str | int, name: str | int, quad: Any, score: float) -> Detection:
    has_box = bool(np.isfinite(quad).all())
    has_score = math.isfinite(score)
    return Detection(
        image=image,
        name=name,
        quad=quad if has_box else _NOWHERE,
        score=score if has_score else -math.inf,
        readable=has_box and has_score,
    )


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
    numbers: list[str] = []
    names: list[str] = []
    difficult: list[bool] = []
    quads = [np.zeros((0, 4, 2))]
    for number, image in enumerate(images):
        count = len(image.names)
        numbers += [_key(number)] * count
        names += image.names
        difficult += hard.get(image.id, [False] * count)
        quads.append(image.boxes.quads)
    boxes = Boxes(np.concatenate(quads))
    if kind == COCO:
        boxes = Boxes.from_hbb(boxes.hbb)
    objects = Objects(numbers, names, boxes, difficult=difficult)
    return Truth(images, [None] * len(images), {}, objects)


def _coco_truth(file: Path, content: Json) -> Truth:
    truth = coco.boxed(file, content)
    pictures = sorted(truth.pictures.values(), key=_in_order)
    places = {picture.id: number for number, picture in enumerate(pictures)}
    annotations = sorted(truth.annotations, key=lambda row: places[row.image_id])
    xywh = np.array([row.bbox for row in annotations], dtype=np.float64).reshape(-1, 4)
    corners = np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]])
    areas = (xywh[:, 2] * xywh[:, 3]).tolist()
    for place, row in enumerate(annotations):
        if row.area is not None:
            areas[place] = row.area
    objects = Objects(
        images=[_key(places[row.image_id]) for row in annotations],
        names=[truth.names[str(row.category_id)] for row in annotations],
        boxes=Boxes.from_hbb(corners),
        difficult=[bool(row.iscrowd) for row in annotations],
        areas=areas,
    )
    single: list[list[int]] = [[] for _ in pictures]  # places of what is no crowd
    for place, row in enumerate(annotations):
        if not row.iscrowd:
            single[places[row.image_id]].append(place)
    images = []
    for picture, of_picture in zip(pictures, single, strict=True):
        name = str(picture.file_name or picture.id)
        image = AnnotatedImage(
            id=name,
            path=str(file.parent / name),
            size_wh=UNMEASURED,
            boxes=objects.boxes[of_picture] if of_picture else Boxes.empty(),
            names=tuple(objects.names[place] for place in of_picture),
        )
        images.append(image)
    return Truth(images, [picture.id for picture in pictures], dict(truth.names), objects)


def _in_order(picture: coco.Picture) -> tuple[bool, int, str]:
    """Numbers before words."""
    is_number = picture.id.isdecimal()
    return not is_number, int(picture.id) if is_number else 0, picture.id


def _key(number: int) -> str:
    return f"{number:09}"


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
    matched, extra, unknown = _matched(truth, rows, place)
    if rows and len(extra) == len(rows):
        names = [image.id for image in truth.images]
        raise EvaluationError(
            f"{suite.name}: none of {len(rows)} boxes is on a picture of {place}; the results' are "
            f"called {few(list(dict.fromkeys(extra)))}, the suite's {few(names)}."
        )
    quads = np.array([row.box.quad for row in matched]).reshape(-1, 4, 2)
    answers = Objects(
        images=[_key(row.number) for row in matched],
        names=[row.name for row in matched],
        boxes=Boxes(quads),
        scores=[row.box.score for row in matched],
    )
    values, per_class = _precision(kind, answers, truth.objects)
    unreadable = [str(row.box.image) for row in matched if not row.box.readable]
    count = len(truth.images)
    scores = {name: Score(value, count, len(unreadable)) for name, value in values.items()}
    asked, predictions = _answered(suite, truth, matched)
    with_boxes = {row.number for row in matched}
    without = [image.id for number, image in enumerate(truth.images) if number not in with_boxes]
    notes = {
        "matched_by": "picture and class",
        "without boxes": _note(without, "pictures"),
        "on no picture of the truth": _note(extra, "boxes"),
        "of no class of the truth": _note(unknown, "boxes"),
        "repeated": _note(_repeated(truth, matched), "boxes"),
        "unreadable": _note(unreadable, "boxes"),
        "average precision": {"by class": per_class},
    }
    return Detected(asked, predictions, scores, notes)


@dataclass(frozen=True)
class _Matched:
    """A detection with the number of its image, and its class as the truth calls it."""

    number: int
    name: str
    box: Detection


def _matched(
    truth: Truth, rows: Sequence[Detection], place: Path
) -> tuple[list[_Matched], list[str], list[str]]:
    """Rows of the truth's images and classes; images, and classes, that it does not have."""
    numbers = _Numbers(truth)
    classes = {*truth.objects.names, *truth.names.values()}
    alike = {letters(name): name for name in sorted(classes)}
    matched = []
    extra = []
    unknown = []
    for row in rows:
        number = numbers.of(row.image)
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
        if number is None:
            extra.append(str(row.image))
        elif name not in classes:
            unknown.append(name)
        else:
            matched.append(_Matched(number, name, row))
    return matched, extra, unknown


def _note(names: Sequence[str], of: str) -> Json:
    """How many of something there are, and the first."""
    return {"count": len(names), "first": list(dict.fromkeys(names))[:20], "of": of}


def _repeated(truth: Truth, matched: Sequence[_Matched]) -> list[str]:
    """The image of each row that stands once more."""
    rows = Counter((row.number, row.name, row.box.quad.tobytes(), row.box.score) for row in matched)
    repeated = []
    for (number, *_), times in rows.items():
        repeated += [truth.images[number].id] * (times - 1)
    return repeated


class _Numbers:
    """The image that a row names: by COCO's id, its path or id, its file's name, or the stem."""

    def __init__(self, truth: Truth) -> None:
        self._images = truth.images
        self._levels: list[dict[Any, set[int]]] = [defaultdict(set) for _ in range(5)]
        for number, (image, id) in enumerate(zip(truth.images, truth.ids, strict=True)):
            name = PurePath(image.path).name
            forms = (id, image.id, name, PurePath(name).stem, str(id))
            for level, form in zip(self._levels, forms, strict=True):
                level[form].add(number)

    def of(self, image: str | int) -> int | None:
        """Its number, None for no image of the truth."""
        word = str(image).replace("\\", "/")
        forms = (str(image), word, PurePath(word).name, PurePath(word).stem, word)
        for level, form in zip(self._levels, forms, strict=True):
            numbers = sorted(level.get(form, ()))
            if len(numbers) > 1:
                raise EvaluationError(
                    f"'{image}' may be {' or '.join(self._images[n].id for n in numbers)}; "
                    f"write the picture's path into the results."
                )
            if numbers:
                return numbers[0]
        return None


def _precision(
    kind: str, answers: Objects, truth: Objects
) -> tuple[dict[str, float], dict[str, float]]:
    """Average precision by metric, and by class; of sizes that nothing has there is none."""
    if kind == COCO:
        scores, per_class = detection.coco(answers, truth)
        precision = {name: value for name, value in scores.items() if name.startswith("AP")}
        return {name.lower(): value for name, value in precision.items() if value >= 0}, per_class
    eleven = detection.dota(answers, truth)
    area = detection.dota(answers, truth, eleven=False)
    per_class = {name: average.ap for name, average in eleven.items()}
    return {
        "map_11": float(np.mean(list(per_class.values()))),
        "map_area": float(np.mean([average.ap for average in area.values()])),
    }, per_class


def _answered(
    suite: Suite, truth: Truth, matched: Sequence[_Matched]
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
    crowds = _crowds(truth)
    for row in matched:
        image = truth.images[row.number]
        if not _lies_in_crowd(row.box, image.boxes, crowds[row.number, row.name]):
            name = row.name if row.name in image.names else ""
            boxes[image.path, name].append(row.box)
    predictions = []
    for conversation in asked.conversations:
        blank = unanswered(conversation)
        detections = boxes.get((blank.image, blank.truth.get("name")), [])
        detections.sort(key=lambda box: -box.score)
        quads = np.array([box.quad for box in detections])
        words = f"{len(detections)} boxes"
        predictions.append(read_answer(conversation, words, Boxes(quads), Labels(())))
    return asked, predictions


def _crowds(truth: Truth) -> dict[tuple[int, str], list[Floats]]:
    """Corners x1, y1, x2, y2 of COCO's crowds by image and class; DOTA has none."""
    crowds: dict[tuple[int, str], list[Floats]] = defaultdict(list)
    objects = truth.objects
    corners = objects.boxes.hbb
    for place, is_crowd in enumerate(objects.difficult if truth.names else ()):
        if is_crowd:
            crowds[int(objects.images[place]), objects.names[place]].append(corners[place])
    return crowds


def _lies_in_crowd(box: Detection, there: Boxes, crowds: Sequence[Floats]) -> bool:
    answer = Boxes(box.quad[None])
    if not crowds or matching.overlaps(answer, there).max(initial=0.0) >= THRESHOLD:
        return False
    corners = np.array(crowds)
    inside = Boxes.from_hbb(np.clip(answer.hbb, corners[:, [0, 1, 0, 1]], corners[:, [2, 3, 2, 3]]))
    return bool(matching.overlaps(answer, inside, upright=True).max() >= THRESHOLD)
