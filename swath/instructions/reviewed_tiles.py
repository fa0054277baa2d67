"""Tiles of scans that a person has judged, as annotated images of the next build."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from swath.annotations.image import AnnotatedImage, read_images
from swath.boxes import Boxes
from swath.errors import InstructionError
from swath.instructions.builder import read_set
from swath.instructions.language import spoken
from swath.instructions.review import FILE, Review, state
from swath.instructions.tasks.truths import BoxesTruth, LabelTruth, Truth


def reviewed_images(folder: Path | str, names: Iterable[str] = ()) -> list[AnnotatedImage]:
    """The tiles of which an answer was accepted or corrected, with what is now known of them.

    Args:
        folder: that `swath scan --to-review` filled.
        names: of the classes of objects, as the other images spell them.

    Raises:
        FormatError: there is no such set, or it is damaged.
        InstructionError: no answer was accepted or corrected.
    """
    folder = Path(folder)
    built = read_set(folder / "set")
    review = Review(folder / FILE, built.choices.get("classify"))
    truths: dict[str, list[Truth]] = {}
    for row in built.conversations:
        if review.verdict(row) in ("accept", "correct"):
            truths.setdefault(row.images[0].path, []).append(review.standing(row).truth)
    review.close()
    if not truths:
        raise InstructionError(
            f"{folder}: no answer was accepted or corrected yet; look through it with "
            f"`swath review {folder}`, or leave it out of instructions.reviewed."
        )
    spelled = {spoken(name): name for name in names}
    images = read_images(folder / "set" / "images.jsonl")
    judged = [image for image in images if image.path in truths]
    return [_annotated(image, truths[image.path], spelled) for image in judged]


def reviewed_state(folders: Sequence[str]) -> list[str]:
    """A digest of the verdicts of each folder, by which a build knows whether they changed."""
    return [state(Path(folder) / FILE) for folder in folders]


def _annotated(
    image: AnnotatedImage, truths: Sequence[Truth], spelled: Mapping[str, str]
) -> AnnotatedImage:
    """A tile with its class and, of each class that was looked for, all boxes."""
    label = None
    names: list[str] = []
    listed: set[str] = set()
    quads: list[list[float]] = []
    for truth in truths:
        if isinstance(truth, LabelTruth):
            label = truth.label
        elif isinstance(truth, BoxesTruth) and truth.name is not None:
            quads += truth.boxes.to_rows()
            name = spelled.get(spoken(truth.name), truth.name)
            names += [name] * len(truth.boxes)
            listed.add(name)
    return replace(
        image,
        label=label,
        boxes=Boxes.from_rows(quads),
        names=tuple(names),
        phrases=(),
        listed=tuple(sorted(listed)),
    )
