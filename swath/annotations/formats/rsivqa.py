"""Questions with answers: those of a row, and RSIVQA's text, also beside other formats."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from swath.annotations.finding_pictures import (
    absolute,
    few,
    is_picture,
    pictures_below,
    read_text,
    subfolders,
)
from swath.annotations.image import AnnotatedImage, Question
from swath.annotations.notes import note
from swath.annotations.parsing import image_of
from swath.annotations.tables import first
from swath.errors import AnnotationError

_MOST = 20  # texts in a folder below the set's; more are labels, a file a picture

_LINE = re.compile(r"(?P<picture>[^:]+):(?P<question>.*\?)(?P<answer>[^?]*)")


def recognises(path: Path) -> bool:
    """Whether a file holds RSIVQA's text, or a folder a text file of it and pictures."""
    return bool(asking(path, _by_name(_all_pictures(path))))


def read(path: Path) -> list[AnnotatedImage]:
    """One image a picture that is asked about, with its questions.

    Raises:
        AnnotationError: a line is not of this form, or asks about a picture that is not there.
    """
    images = with_questions(_all_pictures(path), path)
    asked = [image for image in images if image.questions]
    if bare := len(images) - len(asked):
        note("not annotated", path, f"{bare} pictures are asked nothing", "left out", bare)
    return asked


def with_questions(images: Sequence[AnnotatedImage], path: Path) -> list[AnnotatedImage]:
    """The images with what RSIVQA's text at a place asks about them added, in its order.

    A line is `picture:question?answer`: its first colon and its last question mark divide it. A
    picture is named by its path below the set's folder or by its name, suffix or not; of several
    of a name that below the text's own folder is meant.

    Args:
        images: of one set.
        path: the set's folder, or the text file.

    Raises:
        AnnotationError: a line is not of this form, or asks about a picture that is not among
            the images, or about either of two.
    """
    named = _by_name(images)
    places = {image.id: Path(image.path).parent for image in images}
    asked: dict[str, list[Question]] = defaultdict(list)
    for file in asking(path, named):
        missing, total = [], 0
        for total, (where, picture, question) in enumerate(lines(file), 1):  # noqa: B007
            found = named.get(picture, [])
            if len(found) > 1:  # UCM's and Sydney's 1.tif: each set's file lies in its folder
                found = [one for one in found if places[one].is_relative_to(file.parent)] or found
            if len(found) > 1:
                raise AnnotationError(
                    f"{where}: '{picture}' may be {found[0]} or {found[1]}; "
                    f"name pictures by their path below the folder."
                )
            if found:
                asked[found[0]].append(question)
            else:
                missing.append(picture)
        if missing:
            raise AnnotationError(
                f"{file}: {len(missing)} of {total} questions are about pictures that are not "
                f"there: {few(missing)}; put the pictures beside the file, or remove the lines."
            )
    return [
        replace(image, questions=tuple(dict.fromkeys((*image.questions, *asked[image.id]))))
        if image.id in asked
        else image
        for image in images
    ]


def lines(file: Path) -> Iterator[tuple[str, str, Question]]:
    """Where each line of RSIVQA's text stands, the picture it names and what it asks.

    Raises:
        AnnotationError: a line is not of this form.
    """
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if not line.strip():
            continue
        parts = _LINE.fullmatch(line.strip())
        if parts is None:
            raise AnnotationError(
                f"{file}:{number}: expected picture:question?answer, got '{line[:60]}'; correct it."
            )
        picture, question, answer = (part.strip() for part in parts.groups())
        yield f"{file}:{number}", picture.replace("\\", "/"), Question(question, answer)


def questions_of(row: dict[str, Any], where: str) -> tuple[Question, ...]:
    """The questions of a row: its `question` and `answer`, and those listed under `questions`.

    `prompt` stands for the question and then `label` for the answer too; GeoChat-Bench's `text` is
    a question and `ground_truth` an answer; `type` and `question_type` stand for `kind`.

    Raises:
        AnnotationError: a question has no answer, or an answer no question.
    """
    listed = row.get("questions") or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise AnnotationError(f"{where}: expected a list of objects under 'questions'; correct it.")
    found = []
    for one in [row, *listed]:
        question = one.get("question") or one.get("text")
        answer = one.get("ground_truth") if one.get("answer") is None else one["answer"]
        if "prompt" in one and question is None:
            question, answer = one["prompt"], one.get("label") if answer is None else answer
        asked, said = (_text(value, where) for value in (question, answer))
        if bool(asked) != bool(said):
            raise AnnotationError(
                f"{where}: {'a question without an answer' if asked else 'an answer alone'}; "
                f"write both 'question' and 'answer', or neither."
            )
        if asked:
            kind = first(one, ("kind", "type", "question_type"))
            found.append(Question(asked, said, _text(kind, where)))
    return tuple(found)


def _text(value: object, where: str) -> str:
    """A value in words, "" for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str | int | float):
        raise AnnotationError(f"{where}: expected words or a number, got {value!r}; correct it.")
    return str(value).strip()


def asking(path: Path, named: Container[str] = ()) -> list[Path]:
    """Text files at a place whose first line asks about a picture, by suffix or among `named`."""
    found = []
    for file in _texts(path):
        if file.suffix.lower() != ".txt" or file.name.startswith("."):
            continue
        with file.open(encoding="utf-8-sig", errors="replace") as stream:
            head = next((line.strip() for line in stream if line.strip()), "")
        parts = _LINE.fullmatch(head)
        if parts and (parts["picture"].strip() in named or is_picture(Path(parts["picture"]))):
            found.append(absolute(file))
    return found


def _texts(path: Path) -> list[Path]:
    """The file, or the texts in a folder and in those in it."""
    if not path.is_dir():
        return [path]
    texts = [sorted(folder.glob("*.txt")) for folder in (path, *subfolders(path))]
    few_or_own = (files for n, files in enumerate(texts) if n == 0 or len(files) <= _MOST)
    return [file for files in few_or_own for file in files]


def _by_name(images: Sequence[AnnotatedImage]) -> dict[str, list[str]]:
    """Ids of the images that a name may mean."""
    named: dict[str, list[str]] = defaultdict(list)
    for image in images:
        path = Path(image.path)
        for name in {path.name, path.stem, image.id, image.id + path.suffix}:
            named[name].append(image.id)
    return named


def _all_pictures(path: Path) -> list[AnnotatedImage]:
    root = absolute(path if path.is_dir() else path.parent)
    return [image_of(picture, root) for picture in pictures_below(root)]
