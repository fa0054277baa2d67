"""RSVQA, low and high resolution: questions, answers and images in three files a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from swath.annotations.finding_pictures import files_below
from swath.annotations.image import Question
from swath.annotations.parsing import Entry, Flag, Id, Row, SomeEntry, checked
from swath.annotations.source import Source
from swath.annotations.splits import SPLITS
from swath.annotations.tables import Refuse, load, refuse
from swath.errors import AnnotationError

_QUESTIONS, _ANSWERS, _IMAGES = "questions.json", "answers.json", "images.json"


class _Answer(Entry):
    id: Id
    active: Flag = False
    answer: str | float | None = None


class Asked(Entry):
    """A question of a file; an inactive one is a stub of its id."""

    id: Id
    active: Flag = False
    img_id: Id = ""
    type: str = ""
    question: str = ""
    answers_ids: tuple[Id, ...] = ()


def recognises(path: Path) -> bool:
    """Whether a folder holds question files of RSVQA, each beside its answers."""
    return path.is_dir() and bool(_files(path))


def rows(source: Source) -> Iterator[Row]:
    """A row a picture that is asked about, with its questions.

    Files are `<prefix>_split_<split>_questions.json` and `..._answers.json`; without split files
    `all_questions.json`. Pictures are `<id>.tif`. `test_phili`, the second test set of the high
    resolution part, is test as well.
    """
    for file in _files(source.root):
        for name in (_ANSWERS, _IMAGES, _QUESTIONS):  # the list of images says nothing more
            source.opens(_beside(file, name))
        words = file.name.removesuffix(_QUESTIONS).lower().split("_")
        split = next((SPLITS[word] for word in words if word in SPLITS), None)
        questions: dict[str, dict[Question, None]] = defaultdict(dict)
        for asked, answer in joined(file, source.refuse):
            questions[asked.img_id][Question(asked.question, answer, asked.type)] = None
        for number, of_image in questions.items():
            yield Row(
                f"{file}: image {number}", (f"{number}.tif",), questions=of_image, split=split
            )


def joined(file: Path, refuse: Refuse = refuse) -> Iterator[tuple[Asked, str]]:
    """Active questions of a file, each with the first of its active answers, told by their ids.

    Raises:
        AnnotationError: a file is not of this form; or a row is wrong, and `refuse` raises it.
    """
    answers_file = _beside(file, _ANSWERS)
    answers: dict[str, str] = {}
    for answer in _listed(answers_file, "answers", _Answer, refuse):
        if answer.active and answer.answer is not None:
            answers[answer.id] = str(answer.answer)
    for asked in _listed(file, "questions", Asked, refuse):
        if not asked.active:
            continue
        words = next((answers[key] for key in asked.answers_ids if key in answers), None)
        if words is None or not asked.img_id or not asked.question:
            reason = f"question {asked.id} has no active answer; copy it again."
            refuse(AnnotationError(f"{answers_file}: {reason}"))
        else:
            yield asked, words


def _listed(file: Path, key: str, kind: type[SomeEntry], refuse: Refuse) -> Iterator[SomeEntry]:
    content = load(file)
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise AnnotationError(f"{file}: expected a list under '{key}'; is it RSVQA's?")
    for number, entry in enumerate(entries):
        try:
            yield checked(kind, entry, f"{file}: {key}[{number}]")
        except AnnotationError as error:
            refuse(error)


def _beside(file: Path, name: str) -> Path:
    """The file of answers or images that belongs to one of questions."""
    return file.with_name(file.name.removesuffix(_QUESTIONS) + name)


def _files(path: Path) -> list[Path]:
    files = [file for file in files_below(path, _QUESTIONS) if _beside(file, _ANSWERS).is_file()]
    split = [file for file in files if "_split_" in file.name]
    return sorted(split or [file for file in files if file.name.startswith("all_")])
