"""Looks: what each picture looks like, decoded once and remembered, and which look alike."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

from swath.annotations.finding_pictures import looked
from swath.annotations.footprints import outline
from swath.annotations.image import AnnotatedImage, Images
from swath.errors import AnnotationError, ImageryError
from swath.files import stamp_of
from swath.imagery.opening import open_scene
from swath.imagery.scene import driver_of, is_address, is_frame
from swath.imagery.tiling import tiles
from swath.sent_folders import disarmed

MEMORY = "looks.sqlite"
"""File of a run's folder that looks are remembered in."""

NEAR_BITS = 6
"""Fingerprint bits in which near duplicates may differ, of 64."""

ALIKE = 0.95
"""Least correlation of their thumbnails.

Of 330 AID scenes 322 to 330 are found again saved at quality 50, resized, made 15 % brighter, or
turned, mirrored or halved and saved at quality 60; cut to their middle 98 % 298 are, to 95 % 32, to
90 % 1. Of the 5,775,000 pairs of 3,399 scenes none but one file that stands there twice is found:
in all forms the others differ in 10 bits or more, and those correlate at 0.87 at most.
"""

FORMS = 8
"""Ways to lay a picture: four turns, and four of its mirror image."""

_FORM = 1  # of what is remembered; a new one forgets the old
_DIGEST, _PRINTS = 32, 8 * FORMS  # bytes
_PACKED = _DIGEST + _PRINTS + 16 * 16
_TABLE = "looks (path TEXT PRIMARY KEY, stamp TEXT, packed BLOB)"
_RECALLED = "SELECT packed FROM looks WHERE path = ? AND stamp = ? AND length(packed) = ? "
_RECALLED += "AND typeof(packed) = 'blob'"
_BATCH = 1024  # images
_TILE_PX = 4096  # larger scenes are decoded in tiles of this edge, which bounds memory
_EDGE = 32  # pixels the fingerprint is computed from, each way
_THUMB = 16
_BANDS = [(0, 10), *((10 + 9 * band, 9) for band in range(6))]  # first bit, bits: 64 in 7 parts
_AT_ONCE = 1 << 22  # fingerprints compared at once, which bounds memory

_steps = np.arange(_EDGE)
_COSINES = np.cos(np.pi * np.outer(np.arange(8), 2 * _steps + 1) / (2 * _EDGE))  # (8, 32)
_FLIPPED = np.stack([np.ones(8), np.where(np.arange(8) % 2, -1.0, 1.0)])  # odd waves change sign
_SIGNS = (_FLIPPED[:, None, :, None] * _FLIPPED[None, :, None, :]).reshape(4, 8, 8)

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
        pixels = np.frombuffer(self.packed, np.uint8, offset=_DIGEST + _PRINTS)
        return pixels.reshape(_THUMB, _THUMB)


def look(image: AnnotatedImage) -> Look | str:
    """What an image looks like, or why it, or one of its frames, cannot be decoded."""
    digest = hashlib.sha256()
    packed, ground = b"", None
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
            prints, thumb = fingerprints(pixels)
            packed = packed or prints.tobytes() + thumb.tobytes()  # of the first frame
    except (ImageryError, OSError) as error:  # a file may go while it is looked at
        return str(error)
    return Look(digest.digest() + packed, ground)


def looks_of(
    images: Images,
    progress: Progress | None = None,
    memory: Path | None = None,
) -> list[Look | str]:
    """What each image looks like, every frame decoded whole, or why it cannot be seen.

    Args:
        progress: called with images decoded and images in all.
        memory: file in which plain pictures are remembered: one that has not changed since is not
            decoded again.
    """
    looks: list[Look | str] = []
    results = looked(look, images, workers=2) if memory is None else _recalled(images, memory)
    try:
        for result in results:
            looks.append(result)
            if progress is not None:
                progress(len(looks), len(images))
    except sqlite3.DatabaseError as error:
        raise AnnotationError(
            f"{memory}: cannot be written ({error}); is the disk full, or does another command use "
            f"this run? If it was damaged, remove it."
        ) from None
    return looks


def _recalled(images: Images, memory: Path) -> Iterator[Look | str]:
    with closing(_opened(memory)) as base:
        for start in range(0, len(images), _BATCH):
            batch = [(image, _stamp(image)) for image in images[start : start + _BATCH]]
            recalled: list[Look | None] = []
            for image, stamp in batch:
                row = base.execute(_RECALLED, (image.path, stamp, _PACKED)).fetchone()
                recalled.append(Look(row[0]) if row and stamp else None)
            unknown = [pair for pair, recall in zip(batch, recalled, strict=True) if recall is None]
            fresh = list(looked(look, [image for image, _ in unknown], workers=2))
            rows = [
                (image.path, stamp, result.packed)
                for (image, stamp), result in zip(unknown, fresh, strict=True)
                if stamp and isinstance(result, Look)
            ]
            with base:
                base.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?, ?)", rows)
            results = iter(fresh)
            yield from (remembered or next(results) for remembered in recalled)


def _stamp(image: AnnotatedImage) -> str:
    """What changes whenever a plain picture does; "" of others, which further files may change."""
    path = image.path
    if image.frames or is_frame(path) or is_address(path):
        return ""
    try:
        plain = driver_of(Path(path)) is None
    except OSError:  # looking will tell why
        return ""
    return f"{_FORM} {' '.join(map(str, stamp_of(path)))}" if plain else ""


def _opened(memory: Path) -> sqlite3.Connection:
    """The table of looks, begun anew if the file is damaged or holds anything but that table."""
    memory.parent.mkdir(parents=True, exist_ok=True)
    if memory.exists() and not (memory.is_file() or memory.is_dir()):  # a pipe would never answer
        memory.unlink()
    base = sqlite3.connect(disarmed(memory), timeout=60)
    base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1 << 16)  # bytes of a row
    try:
        base.execute("PRAGMA synchronous = OFF")  # what a power cut takes is decoded again
        # Not the table's rows are asked first: a view of that name may never end.
        schema = base.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        if not schema:
            base.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE}")
        elif schema != [(f"CREATE TABLE {_TABLE}",)]:
            raise sqlite3.DatabaseError
    except sqlite3.OperationalError:  # a full disk or a lock: the file is sound
        raise
    except sqlite3.DatabaseError:
        base.close()
        memory.unlink()
        return _opened(memory)
    return base


def fingerprints(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """(8,) 64 bits of a picture in each form, its own first; and its (16, 16) thumbnail.

    Each bit says whether one of the 8 x 8 lowest spatial frequencies is above their median, which
    survives resizing, recompression and a change of brightness.

    Args:
        pixels: (height, width, 3) RGB.

    Source: pHash; Zauner, "Implementation and Benchmarking of Perceptual Image Hash
    Functions", 2010.
    """
    grey = Image.fromarray(pixels).convert("L").resize((_EDGE, _EDGE), Image.Resampling.BOX)
    waves = _COSINES @ np.asarray(grey, dtype=np.float64) @ _COSINES.T  # (8, 8)
    forms = (np.stack([waves, waves.T])[:, None] * _SIGNS).reshape(FORMS, 64)
    # The mean brightness says nothing; of 63 waves the 32nd is the median.
    bits = forms > np.partition(forms[:, 1:], 31, axis=1)[:, 31:32]
    thumb = np.asarray(grey.resize((_THUMB, _THUMB), Image.Resampling.BOX))
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64)[:, 0], thumb


def near_pairs(
    prints: NDArray[np.uint64], thumbs: NDArray[np.uint8]
) -> Iterator[tuple[int, int, int]]:
    """Rows i < j that look alike, each pair once, and the form of j that looks like i.

    Args:
        prints: (n, 8) fingerprints.
        thumbs: (n, 16, 16) thumbnails; flat ones are like no other.
    """
    form_of: dict[tuple[int, int], int] = {}
    for row, place in _candidates(prints):
        later, form = divmod(place, FORMS)
        if row >= later or form >= form_of.get((row, later), FORMS):
            continue
        if _correlation(thumbs[row], _laid(thumbs[later], form)) >= ALIKE:
            form_of[row, later] = form
    yield from ((*pair, form_of[pair]) for pair in sorted(form_of))


def _candidates(prints: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """Row of a fingerprint, and place among all forms of one that differs in few bits."""
    upright, forms = prints[:, 0], prints.ravel()
    for first, bits in _BANDS:  # two that differ in fewer bits than there are bands agree in one
        shift, mask = np.uint64(first), np.uint64((1 << bits) - 1)
        keys, row_keys = (forms >> shift) & mask, (upright >> shift) & mask
        order, rows = np.argsort(keys, kind="stable"), np.argsort(row_keys, kind="stable")
        for alike in np.split(rows, np.flatnonzero(np.diff(row_keys[rows])) + 1):
            key = row_keys[alike[:1]]  # none where there is no picture
            begin, end = (np.searchsorted(keys, key, side, order) for side in ("left", "right"))
            places = order[begin.sum() : end.sum()]
            step = max(1, _AT_ONCE // max(1, len(places)))
            for start in range(0, len(alike), step):
                part = alike[start : start + step]
                apart = np.bitwise_count(upright[part][:, None] ^ forms[places][None])
                for row, place in np.argwhere(apart <= NEAR_BITS):
                    yield int(part[row]), int(places[place])


def _laid(pixels: NDArray[np.uint8], form: int) -> NDArray[np.uint8]:
    """A picture in one of its forms, in the order of `fingerprints`."""
    laid = pixels.T if form & 4 else pixels
    return laid[:: -1 if form & 2 else 1, :: -1 if form & 1 else 1]


def _correlation(pixels: NDArray[np.uint8], laid: NDArray[np.uint8]) -> float:
    a, b = pixels.ravel() - pixels.mean(), laid.ravel() - laid.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size else 0.0
