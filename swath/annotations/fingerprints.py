"""Looks: what each picture looks like, for finding copies, decoded once and then remembered."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from swath.annotations.finding_pictures import looked
from swath.annotations.footprints import outline
from swath.annotations.image import AnnotatedImage
from swath.annotations.likeness import FORMS, fingerprints
from swath.errors import AnnotationError, ImageryError
from swath.imagery.opening import open_scene
from swath.imagery.scene import driver_of, is_address, is_frame
from swath.imagery.tiling import tiles

MEMORY = "looks.sqlite"
"""File of a run's folder that looks are remembered in."""

_FORM = 1  # of what is remembered; a new one forgets the old
_DIGEST, _PRINTS = 32, 8 * FORMS  # bytes
_BATCH = 1024  # images
_TILE_PX = 4096  # larger scenes are decoded in tiles of this edge, which bounds memory

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Look:
    """What is kept of a decoded image.

    Args:
        packed: the file's digest, the picture's fingerprints and its thumbnail, in one piece as
            many are held.
        ground: where it lies, None where it does not say.
    """

    packed: bytes
    ground: shapely.Geometry | None = None

    @property
    def digest(self) -> bytes:
        """Equal for equal files."""
        return self.packed[:_DIGEST]

    @property
    def prints(self) -> NDArray[np.uint64]:
        """(8,) fingerprints."""
        return np.frombuffer(self.packed, np.uint64, FORMS, _DIGEST)

    @property
    def thumb(self) -> NDArray[np.uint8]:
        """(16, 16) thumbnail."""
        return np.frombuffer(self.packed, np.uint8, offset=_DIGEST + _PRINTS).reshape(16, 16)


def look(image: AnnotatedImage) -> Look | str:
    """What an image looks like, or why it, or one of its frames, cannot be decoded."""
    digest = hashlib.sha256()
    seen, ground = [], None
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
            seen.append(fingerprints(pixels))
    except (ImageryError, OSError) as error:  # a file may go while it is looked at
        return str(error)
    prints, thumb = seen[0]
    return Look(digest.digest() + prints.tobytes() + thumb.tobytes(), ground)


def looks_of(
    images: Sequence[AnnotatedImage],
    progress: Progress | None = None,
    memory: Path | None = None,
) -> list[Look | str]:
    """What each image looks like, every frame decoded whole, or why it cannot be seen.

    Args:
        images: in any order.
        progress: called with images decoded and images in all.
        memory: file in which plain pictures are remembered: one that has not changed since is not
            decoded again.
    """
    looks: list[Look | str] = []
    for seen in looked(look, images, workers=2) if memory is None else _recalled(images, memory):
        looks.append(seen)
        if progress is not None:
            progress(len(looks), len(images))
    return looks


def _recalled(images: Sequence[AnnotatedImage], memory: Path) -> Iterator[Look | str]:
    with closing(_opened(memory)) as base:
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            stamps = [_stamp(image) for image in batch]
            seen: list[Look | str | None] = []
            for image, stamp in zip(batch, stamps, strict=True):
                asked = "SELECT packed FROM looks WHERE path = ? AND stamp = ?"
                row = base.execute(asked, (image.path, stamp)).fetchone() if stamp else None
                seen.append(Look(row[0]) if row else None)
            new = looked(
                look, [one for one, known in zip(batch, seen, strict=True) if not known], 2
            )
            found = [known or next(new) for known in seen]
            rows = [
                (image.path, stamp, now.packed)
                for image, stamp, known, now in zip(batch, stamps, seen, found, strict=True)
                if stamp and not known and isinstance(now, Look)
            ]
            with base:
                base.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?, ?)", rows)
            yield from found


def _stamp(image: AnnotatedImage) -> str:
    """What changes whenever a plain picture does; "" of others, which further files may change."""
    path = image.path
    if image.frames or is_frame(path) or is_address(path):
        return ""
    try:
        about = Path(path).stat()
        plain = driver_of(Path(path)) is None
    except OSError:  # looking will tell why
        return ""
    return f"{_FORM} {about.st_size} {about.st_mtime_ns} {about.st_ctime_ns}" if plain else ""


def _opened(memory: Path) -> sqlite3.Connection:
    """The table of looks, begun anew if the file is damaged.

    Raises:
        AnnotationError: it cannot be written.
    """
    memory.parent.mkdir(parents=True, exist_ok=True)
    try:
        base = sqlite3.connect(memory, timeout=60)
        base.execute("PRAGMA synchronous = OFF")  # what a power cut takes is decoded again
        base.execute(
            "CREATE TABLE IF NOT EXISTS looks (path TEXT PRIMARY KEY, stamp TEXT, packed BLOB)"
        )
    except sqlite3.OperationalError as error:
        raise AnnotationError(
            f"{memory}: cannot be written ({error}); is the disk full, or does another command use "
            f"this run?"
        ) from None
    except sqlite3.DatabaseError:
        memory.unlink()
        return _opened(memory)
    return base
