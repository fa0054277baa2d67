"""Leaks: the same picture, scene or ground in two splits, and copies within one."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from swath.annotations.duplicates import fingerprint, near_pairs
from swath.annotations.finding import Finding
from swath.annotations.ground import outline, overlapping
from swath.annotations.image import AnnotatedImage
from swath.annotations.pictures import few
from swath.errors import ImageryError
from swath.imagery.scene import is_frame, open_scene
from swath.imagery.tiling import tiles

_TILE_PX = 4096  # larger scenes are decoded in tiles of this edge, which bounds memory
_DEAL_ANEW = "deal the splits anew (annotations.keep_given_split=false annotations.split_by="


@dataclass(frozen=True)
class Look:
    """What is kept of a decoded image: its digest, its fingerprint and where it lies."""

    digest: bytes
    print: np.uint64
    ground: shapely.Geometry | None


def look(image: AnnotatedImage) -> Look | str:
    """What an image looks like, or why it, or one of its frames, cannot be decoded."""
    digest = hashlib.sha256()
    prints, ground = [], None
    try:
        for path in image.frames or (image.path,):
            scene = open_scene(path)
            ground = ground or outline(scene)
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
    except (ImageryError, OSError) as error:  # a file may go while it is looked at
        return str(error)
    return Look(digest.digest(), prints[0], ground)


def leaks(images: Sequence[AnnotatedImage], looks: Sequence[Look | str]) -> list[Finding]:
    """What stands in two splits: files, scenes, ground, and pictures that look the same."""
    sound = [(one, seen) for one, seen in zip(images, looks, strict=True) if isinstance(seen, Look)]
    return [
        *(finding for finding in _copies(sound) if finding.kind == "leak"),
        *_split_scenes(images),
        *_overlaps(sound),
        *_near_copies(sound),
    ]


def copies(images: Sequence[AnnotatedImage], looks: Sequence[Look | str]) -> list[Finding]:
    """Equal files within a split, and under two labels."""
    sound = [(one, seen) for one, seen in zip(images, looks, strict=True) if isinstance(seen, Look)]
    return [finding for finding in _copies(sound) if finding.kind != "leak"]


Seen = Sequence[tuple[AnnotatedImage, Look]]


def _copies(sound: Seen) -> Iterator[Finding]:
    same: dict[bytes, list[AnnotatedImage]] = defaultdict(list)
    for image, seen in sound:
        same[seen.digest].append(image)
    for alike in same.values():
        if len(alike) == 1:
            continue
        first, others = alike[0], alike[1:]
        listed = few([image.id for image in others])
        if len({image.split for image in alike}) > 1:
            placed = few([f"{image.id} ({image.split or 'no split'})" for image in others])
            action = "keep one of them, or give them one scene so that they share a split"
            if len({image.path for image in alike}) < len(alike):
                action = f"split whole pictures, not expressions: {_DEAL_ANEW}image)"
            yield Finding(
                "leak",
                first.id,
                f"the same file is in {first.split or 'no split'} here and again as {placed}",
                action,
                len(alike),
            )
        elif len({image.path for image in alike}) > 1:
            yield Finding(
                "duplicate",
                first.id,
                f"the same file again as {listed}",
                "keep one of them",
                len(alike),
            )
        labels = sorted({image.label for image in alike if image.label is not None})
        if len(labels) > 1:
            yield Finding(
                "two labels",
                first.id,
                f"the same file is labelled {' and '.join(labels)} (again as {listed})",
                "decide for one label and remove the other file",
                len(alike),
            )


def _split_scenes(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    scenes: dict[str, list[AnnotatedImage]] = defaultdict(list)
    for image in images:
        scenes[image.scene].append(image)
    for scene, some in scenes.items():
        names = [image.split or "no split" for image in some]
        if len(set(names)) > 1 and len({image.path for image in some}) > 1:
            yield Finding(
                "split scene",
                scene,
                f"its images lie in {' and '.join(sorted(set(names)))}",
                f"put all images of a scene into one split, or {_DEAL_ANEW}scene)",
                len(names),
            )


def _overlaps(sound: Seen) -> Iterator[Finding]:
    for one, other, share in overlapping([seen.ground for _, seen in sound]):
        (first, look_), (second, again) = sound[one], sound[other]
        if first.split != second.split and look_.digest != again.digest:
            if first.scene == second.scene:
                continue  # said of their scene
            yield Finding(
                "overlap",
                first.id,
                f"shares {share:.0%} of its ground with {second.id}; one is in "
                f"{first.split or 'no split'}, the other in {second.split or 'no split'}",
                f"split by place: {_DEAL_ANEW}place)",
                2,
            )


def _near_copies(sound: Seen) -> Iterator[Finding]:
    """Pictures of different splits that look the same without being the same file."""
    prints = np.array([seen.print for _, seen in sound], dtype=np.uint64)
    for one, other in near_pairs(prints):
        (first, seen), (second, again) = sound[one], sound[other]
        if first.split != second.split and seen.digest != again.digest:
            yield Finding(
                "near duplicate",
                first.id,
                f"looks like {second.id}; one is in {first.split or 'no split'}, "
                f"the other in {second.split or 'no split'}",
                "compare them; if they show one place, give them one scene and split again",
                2,
            )
