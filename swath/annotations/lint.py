"""Lint: what is wrong or doubtful in a set of annotated images, found before any training."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swath.annotations.duplicates import fingerprint, near_pairs
from swath.annotations.image import AnnotatedImage
from swath.annotations.pictures import few
from swath.errors import ImageryError
from swath.imagery.scene import is_frame, open_scene
from swath.imagery.tiling import tiles

SMALL_CLASS = 5
"""A class with fewer images is pointed out."""

OUTSIDE_SHARE = 0.02
"""Share of the longer side that a corner may reach beyond: an oriented box of an object at the
border does."""

_TILE_PX = 4096  # larger scenes are decoded in tiles of this edge, which bounds memory

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Finding:
    """One thing to look at.

    Args:
        kind: what sort of thing; the same words for the same sort.
        where: the image's id, the class or the source it is about.
        what: what is wrong there.
        action: what to do about it.
    """

    kind: str
    where: str
    what: str
    action: str


def lint(images: Sequence[AnnotatedImage], progress: Progress | None = None) -> list[Finding]:
    """What to look at in a set, gravest first: leaks, bad files, bad rows, then the set at large.

    Every image and frame is decoded whole; sequences look alike if their first frames do. Kinds:
    "leak", "near duplicate", "split scene", "unreadable", "two labels", "duplicate",
    "box outside", "box without area", "empty caption", "empty question", "spelling",
    "small class", "no licence".

    Args:
        images: the set, split or not.
        progress: called with images decoded and images in all.
    """
    looks: list[_Look | str] = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for look in pool.map(_look, images):
            looks.append(look)
            if progress is not None:
                progress(len(looks), len(images))
    copies = list(_copies(images, looks))
    return [
        *(finding for finding in copies if finding.kind == "leak"),
        *_near_copies(images, looks),
        *_split_scenes(images),
        *_unreadable(images, looks),
        *(finding for finding in copies if finding.kind != "leak"),
        *_bad_boxes(images),
        *_empty_captions(images),
        *_empty_questions(images),
        *_spellings(images),
        *_small_classes(images),
        *_no_licence(images),
    ]


@dataclass(frozen=True)
class _Look:
    """What is kept of a decoded image."""

    digest: bytes
    print: np.uint64


def _look(image: AnnotatedImage) -> _Look | str:
    """Digest and fingerprint of an image, or why it, or one of its frames, cannot be decoded."""
    digest = hashlib.sha256()
    prints = []
    try:
        for path in image.frames or (image.path,):
            scene = open_scene(path)
            if max(scene.size_wh) <= _TILE_PX:
                pixels = scene.read_rgb()
            else:
                for tile in tiles(scene.id, scene.size_wh, _TILE_PX):
                    scene.read_rgb(tile)
                pixels = scene.read_rgb(size_wh=(256, 256))
            if is_frame(path):
                digest.update(pixels.tobytes())
            else:
                with Path(path).open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
            prints.append(fingerprint(pixels))
    except ImageryError as error:
        return str(error)
    return _Look(digest.digest(), prints[0])


def _copies(images: Sequence[AnnotatedImage], looks: Sequence[_Look | str]) -> Iterator[Finding]:
    """Equal files: within a split, across splits, under two labels."""
    same: dict[bytes, list[AnnotatedImage]] = defaultdict(list)
    for image, look in zip(images, looks, strict=True):
        if not isinstance(look, str):
            same[look.digest].append(image)
    for copies in same.values():
        if len(copies) == 1:
            continue
        first, others = copies[0], copies[1:]
        listed = few([image.id for image in others])
        if len({image.split for image in copies}) > 1:
            placed = few([f"{image.id} ({image.split or 'no split'})" for image in others])
            yield Finding(
                "leak",
                first.id,
                f"the same file is in {first.split or 'no split'} here and again as {placed}",
                "keep one of them, or give them one scene so that they share a split",
            )
        else:
            yield Finding(
                "duplicate", first.id, f"the same file again as {listed}", "keep one of them"
            )
        labels = sorted({image.label for image in copies if image.label is not None})
        if len(labels) > 1:
            yield Finding(
                "two labels",
                first.id,
                f"the same file is labelled {' and '.join(labels)} (again as {listed})",
                "decide for one label and remove the other file",
            )


def _near_copies(
    images: Sequence[AnnotatedImage], looks: Sequence[_Look | str]
) -> Iterator[Finding]:
    """Pictures of different splits that look the same without being the same file."""
    seen = [(image, look) for image, look in zip(images, looks, strict=True)]
    sound = [(image, look) for image, look in seen if isinstance(look, _Look)]
    prints = np.array([look.print for _, look in sound], dtype=np.uint64)
    for one, other in near_pairs(prints):
        (first, look), (second, again) = sound[one], sound[other]
        if first.split != second.split and look.digest != again.digest:
            yield Finding(
                "near duplicate",
                first.id,
                f"looks like {second.id}; one is in {first.split or 'no split'}, "
                f"the other in {second.split or 'no split'}",
                "compare them; if they show one place, give them one scene and split again",
            )


def _split_scenes(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    splits: dict[str, set[str]] = defaultdict(set)
    for image in images:
        splits[image.scene].add(image.split or "no split")
    for scene, names in splits.items():
        if len(names) > 1:
            yield Finding(
                "split scene",
                scene,
                f"its images lie in {' and '.join(sorted(names))}",
                "put all images of a scene into one split",
            )


def _unreadable(
    images: Sequence[AnnotatedImage], looks: Sequence[_Look | str]
) -> Iterator[Finding]:
    for image, look in zip(images, looks, strict=True):
        if isinstance(look, str):
            yield Finding("unreadable", image.id, look, "copy it again, or remove it")


def _bad_boxes(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    for image in images:
        if not len(image.boxes):
            continue
        beyond = np.maximum(-image.boxes.quads, image.boxes.quads - np.array(image.size_wh))
        allowed = max(1.0, OUTSIDE_SHARE * max(image.size_wh))
        outside = int((beyond.max(axis=(1, 2)) > allowed).sum())
        if outside:
            width, height = image.size_wh
            yield Finding(
                "box outside",
                image.id,
                f"{outside} of {len(image.boxes)} boxes reach up to {beyond.max():.0f} px beyond "
                f"the image of {width} x {height} px",
                "check that boxes and picture have the same size, or clip the boxes",
            )
        flat = int((image.boxes.areas <= 0).sum())
        if flat:
            yield Finding(
                "box without area",
                image.id,
                f"{flat} of {len(image.boxes)} boxes cover nothing",
                "correct or remove them",
            )


def _empty_captions(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    for image in images:
        empty = [caption for caption in image.captions if not re.search(r"[^\W\d_]", caption)]
        if empty:
            yield Finding(
                "empty caption",
                image.id,
                f"{len(empty)} of {len(image.captions)} captions hold no word: {few(empty)!r}",
                "write a sentence, or remove the caption",
            )


def _empty_questions(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    for image in images:
        empty = [
            one.question
            for one in image.questions
            if not re.search(r"[^\W\d_]", one.question) or not one.answer.strip()
        ]
        if empty:
            yield Finding(
                "empty question",
                image.id,
                f"{len(empty)} of {len(image.questions)} questions ask nothing or have no answer: "
                f"{few(empty)!r}",
                "write both, or remove the question",
            )


def _spellings(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    """Classes of scenes, or of objects, that differ in spaces, case or punctuation only."""
    labels = Counter(image.label for image in images if image.label is not None)
    names = Counter(name for image in images for name in image.names)
    for counts in (labels, names):
        alike: dict[str, list[str]] = defaultdict(list)
        for name in counts:
            alike[re.sub(r"[\W_]", "", name.casefold())].append(name)
        for spellings in alike.values():
            if len(spellings) > 1:
                said = [f"'{name}' ({counts[name]})" for name in spellings]
                yield Finding(
                    "spelling",
                    spellings[0],
                    f"one class spelled in {len(spellings)} ways: {few(said)}",
                    "rename all to one of them",
                )


def _small_classes(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    counts = Counter(image.label for image in images if image.label is not None)
    for label, count in counts.items():
        if count < SMALL_CLASS:
            yield Finding(
                "small class",
                label,
                f"{count} image{'s' if count > 1 else ''} only",
                f"add images up to {SMALL_CLASS} or more, merge the class or leave it out",
            )


def _no_licence(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    counts = Counter(image.source or "(no source)" for image in images if not image.licence)
    for source, count in counts.items():
        yield Finding(
            "no licence",
            source,
            f"{count} images state no licence",
            "find out whether the model may be shared before sharing it",
        )
