"""`AnnotatedImage`: one image with everything people said about it, whatever format it came in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from swath.boxes import Boxes
from swath.errors import FormatError, ShapeError
from swath.files import read_jsonl, write_jsonl


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
        listed: classes of which every object has a box; only of these is it known how many there
            are, and that there is none.

    Raises:
        ShapeError: boxes, names and phrases differ in length, or `path` is not the first frame.
    """

    id: str
    path: str
    size_wh: tuple[int, int]
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

    def to_row(self) -> dict[str, Any]:
        """The image as a JSON object; `from_row` is the inverse."""
        return {
            "id": self.id,
            "path": self.path,
            "size_wh": list(self.size_wh),
            "label": self.label,
            "captions": list(self.captions),
            "boxes": self.boxes.to_rows(),
            "names": list(self.names),
            "phrases": list(self.phrases),
            "split": self.split,
            "scene": self.scene,
            "source": self.source,
            "licence": self.licence,
            "frames": list(self.frames),
            "questions": [[one.question, one.answer, one.kind] for one in self.questions],
            "faults": [list(one) for one in self.faults],
            "listed": list(self.listed),
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> AnnotatedImage:
        """The image that `to_row` wrote.

        Raises:
            FormatError: a field is missing, of another type, or does not fit the others.
        """
        try:
            width, height = row["size_wh"]
            return cls(
                id=row["id"],
                path=row["path"],
                size_wh=(int(width), int(height)),
                label=row["label"],
                captions=tuple(row["captions"]),
                boxes=Boxes.from_rows(row["boxes"]),
                names=tuple(row["names"]),
                phrases=tuple(row["phrases"]),
                split=row["split"],
                scene=row["scene"],
                source=row["source"],
                licence=row["licence"],
                frames=tuple(row.get("frames", ())),  # absent from files of older versions
                questions=tuple(Question(*one) for one in row.get("questions", ())),
                faults=tuple((kind, what) for kind, what in row.get("faults", ())),
                listed=tuple(row.get("listed", ())),
            )
        except ShapeError as error:
            raise FormatError(f"image row {row.get('id', '?')}: {error}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"image row {row.get('id', '?')}: {error!r}.") from None


def whole_lists(images: Sequence[AnnotatedImage]) -> list[AnnotatedImage]:
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
