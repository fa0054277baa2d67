"""`AnnotatedImage`: one image with everything people said about it, whatever format it came in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from swath.boxes import Boxes, Size
from swath.errors import FormatError, ShapeError
from swath.files import Json, read_jsonl, write_jsonl


@dataclass(frozen=True, slots=True)
class Question:
    """A question about an image and its true answer.

    Args:
        question: what is asked, in the source's words.
        answer: what is to be answered.
        kind: the source's word for such questions, as "presence" or "count"; "" without one.
    """

    question: str
    answer: str
    kind: str = ""


Dialogue = tuple[tuple[str, str], ...]
"""Questions about an image with their answers, in turn."""


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image, or a sequence of them, and its annotations.

    Args:
        id: unique in its set; the path relative to the set's folder, without suffix.
        path: absolute path of the image file, or one frame of a clip: `clip.mp4#frame=120`.
        size_wh: width and height in pixels.
        label: scene class, or None.
        captions: sentences describing the whole image.
        boxes: objects in pixels of this image.
        names: class of each box, same order.
        phrases: referring expression of each box, None where none singles it out.
        split: "train", "val" or "test", or None before splitting.
        scene: images of one scene share pixels or ground and stay in one split.
        source: where it came from, for the card.
        licence: the source's licence, None where it states none.
        frames: paths of all images of a sequence in order of time, `path` being the first;
            boxes lie in that one. Empty for one image.
        questions: what is asked about the image, with the answers.
        faults: kind and words of what the reader found wrong in the source, for lint.
        dialogues: conversations about it as the source has them, word for word: questions with
            their answers.
        listed: classes of which every object has a box; only of these is it known how many there
            are, and that there is none.
        gsd_m: metres of ground a pixel measures, as the source says; None where it does not.
        sensor: what took the image, as the source says; "" where it does not.

    Raises:
        ShapeError: boxes, names and phrases differ in length, or `path` is not the first frame.
    """

    id: str
    path: str
    size_wh: Size
    label: str | None = None
    captions: tuple[str, ...] = ()
    boxes: Boxes = field(default_factory=Boxes.empty)
    names: tuple[str, ...] = ()
    phrases: tuple[str | None, ...] = ()
    split: str | None = None
    scene: str = ""
    source: str = ""
    licence: str | None = None
    frames: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()
    listed: tuple[str, ...] = ()
    dialogues: tuple[Dialogue, ...] = ()
    gsd_m: float | None = None
    sensor: str = ""

    def __post_init__(self) -> None:
        if not self.phrases:
            object.__setattr__(self, "phrases", _no_phrases(len(self.boxes)))
        if not self.scene:
            object.__setattr__(self, "scene", self.id)
        if not len(self.boxes) == len(self.names) == len(self.phrases):
            raise ShapeError(
                f"{self.id}: {len(self.boxes)} boxes, {len(self.names)} names and "
                f"{len(self.phrases)} phrases; each box needs one of each."
            )
        if self.frames and self.frames[0] != self.path:
            raise ShapeError(
                f"{self.id}: the first frame is {self.frames[0]} and the path {self.path}; "
                f"give the first frame as path."
            )

    def to_row(self) -> Json:
        """The image as a JSON object; `from_row` is the inverse."""
        values = {name: getattr(self, name) for name in _FIELDS}
        questions = [astuple(question) for question in self.questions]
        return values | {"boxes": self.boxes.to_rows(), "questions": questions}

    @classmethod
    def from_row(cls, row: Json) -> AnnotatedImage:
        """The image that `to_row` wrote; fields that older versions lack are empty.

        Raises:
            FormatError: a field is missing, of another type, or does not fit the others.
        """
        try:
            values = {name: _frozen(row[name]) for name in _FIELDS if name in row}
            width, height = row["size_wh"]
            values |= {
                "size_wh": (int(width), int(height)),
                "boxes": Boxes.from_rows(row["boxes"]),
                "questions": tuple(Question(*texts) for texts in row.get("questions", ())),
                "faults": tuple((kind, what) for kind, what in row.get("faults", ())),
                "dialogues": tuple(map(_dialogue, row.get("dialogues", ()))),
            }
            return cls(**values)
        except ShapeError as error:
            raise FormatError(f"image row {row.get('id', '?')}: {error}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"image row {row.get('id', '?')}: {error!r}.") from None


Images = Sequence[AnnotatedImage]
_FIELDS = tuple(spec.name for spec in fields(AnnotatedImage))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _dialogue(row: Any) -> Dialogue:
    return tuple((question, answer) for question, answer in row)


def whole_lists(images: Images) -> list[AnnotatedImage]:
    """The images of a source that draws a box about every object of its classes."""
    listed = tuple(sorted({name for image in images for name in image.names}))
    return [replace(image, listed=listed) for image in images]


@lru_cache(maxsize=1024)
def _no_phrases(count: int) -> tuple[None, ...]:
    """One tuple for all images of so many boxes: large sets are held whole."""
    return (None,) * count


def write_images(path: Path | str, images: Iterable[AnnotatedImage]) -> int:
    """Write `images.jsonl`; return how many there were."""
    return write_jsonl(path, "images", (image.to_row() for image in images))


def read_images(path: Path | str) -> Iterator[AnnotatedImage]:
    """Yield the images of an `images.jsonl`."""
    return (AnnotatedImage.from_row(row) for row in read_jsonl(path, "images"))
