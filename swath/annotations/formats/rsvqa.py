"""RSVQA, low and high resolution: questions, answers and images in three files a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swath.annotations.finding_pictures import (
    SPLITS,
    PictureFinder,
    absolute,
    files_below,
    refuse_repeats,
)
from swath.annotations.image import AnnotatedImage, Question
from swath.annotations.notes import using
from swath.annotations.parsing import image_of
from swath.annotations.tables import load
from swath.errors import AnnotationError

_QUESTIONS, _ANSWERS = "questions.json", "answers.json"


def recognises(path: Path) -> bool:
    """Whether a folder holds question files of RSVQA, each beside its answers."""
    return path.is_dir() and bool(_files(path))


def read(path: Path) -> list[AnnotatedImage]:
    """One image a picture that is asked about, with its questions.

    Files are `<prefix>_split_<split>_questions.json` and `..._answers.json`; without split files
    `all_questions.json`. Pictures are `<id>.tif`. `test_phili`, the second test set of the high
    resolution part, is test as well.

    Raises:
        AnnotationError: a question has no answer, or a picture is missing.
    """
    root = absolute(path)
    images, total = [], 0
    finder = PictureFinder(root, root / _QUESTIONS)
    for file in _files(root):
        words = file.name.removesuffix(_QUESTIONS).lower().split("_")
        split = next((SPLITS[word] for word in words if word in SPLITS), None)
        asked: dict[Any, list[Question]] = defaultdict(list)
        for one, answer in joined(file):
            asked[one["img_id"]].append(Question(one["question"], answer, str(one["type"])))
        total += len(asked)
        for number, questions in asked.items():
            if picture := finder.find(f"{number}.tif"):
                said = tuple(dict.fromkeys(questions))
                images.append(image_of(picture, root, split=split, questions=said))
    finder.refuse_missing(total)
    refuse_repeats(images, root)
    return images


def joined(file: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Active questions of a file, each with the first of its active answers, told by their ids.

    Raises:
        AnnotationError: a question has none, or a file is not of this form.
    """
    other = file.with_name(file.name.removesuffix(_QUESTIONS) + _ANSWERS)
    answers = {one["id"]: one for one in _listed(other, "answers") if one.get("active")}
    for one in _listed(file, "questions"):
        if not one.get("active"):
            continue
        found = next((answers[key] for key in one.get("answers_ids", ()) if key in answers), None)
        if found is None or not {"img_id", "question", "type"} <= one.keys():
            raise AnnotationError(
                f"{other}: question {one.get('id')} has no active answer; copy it again."
            )
        yield one, str(found.get("answer"))


def _listed(file: Path, key: str) -> list[dict[str, Any]]:
    for kind in (_QUESTIONS, _ANSWERS):  # and the list of images, which says nothing more
        if file.name.endswith(kind):
            using(file)
            using(file.with_name(file.name.removesuffix(kind) + "images.json"))
    content = load(file)
    rows = content.get(key) if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "id" in row for row in rows):
        raise AnnotationError(f"{file}: expected objects with an id under '{key}'; is it RSVQA's?")
    return rows


def _files(path: Path) -> list[Path]:
    found = [
        file
        for file in files_below(path, _QUESTIONS)
        if file.with_name(file.name.removesuffix(_QUESTIONS) + _ANSWERS).is_file()
    ]
    split = [file for file in found if "_split_" in file.name]
    return sorted(split or [file for file in found if file.name.startswith("all_")])
