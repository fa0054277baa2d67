"""Masks: change between two dates (LEVIR-CD, DSIFN) and classes (SAMRS, LoveDA and the like)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from swath.annotations.finding_pictures import (
    SPLITS,
    absolute,
    few,
    image_id,
    official_splits,
    pictures_below,
    read_text,
    refuse_repeats,
    subfolders,
)
from swath.annotations.image import AnnotatedImage, Question
from swath.annotations.notes import note
from swath.annotations.parsing import image_of, objects
from swath.boxes import rectangle_around
from swath.errors import AnnotationError, ImageryError
from swath.imagery.picture import open_image
from swath.imagery.scene import LARGEST_READ_PX, decoding

CHANGE = "change"
"""Class of what a change mask shows."""

CHANGE_ASKED = "Has anything changed between the two images?"

SPECK_PX = 4
"""Patches of fewer pixels are borders of others, not objects."""

IGNORED = 255
"""What masks of classes hold where nothing is labelled."""

_BACKGROUND = {"", "background", "ignore", "ignored", "unlabeled", "unlabelled"}
_BACKGROUND |= {"no-data", "nodata"}
_PICTURES = ("images", "image", "img", "imgs", "img_dir", "images_png", "jpegimages")
_MASKS = ("masks", "mask", "gray", "ann_dir", "masks_png", "segmentationclass", "labels", "label")
_PAIRS = (("a", "b"), ("t1", "t2"), ("im1", "im2"), ("time1", "time2"))


@dataclass(frozen=True)
class _Layout:
    """Folders of pictures, one or two dates, beside the folder of their masks."""

    pictures: tuple[Path, ...]
    masks: Path
    split: str | None


def recognises(path: Path) -> bool:
    """Whether a folder holds pictures beside masks of the same names."""
    return path.is_dir() and next(_layouts(absolute(path)), None) is not None


def read(path: Path) -> list[AnnotatedImage]:
    """One image a mask, or a sequence of two for a change mask; boxes stand around its patches.

    `A/`, `B/` and `label/` (or `t1/`, `t2/`, `mask/`) are two dates and where they differ: each
    patch is a box of class "change", and whether anything changed is a question. `images/` beside
    `masks/` (`gray/`, `labels/`, `ann_dir/`) are pictures and their classes: each patch of a class
    is a box. Line i of `classes.txt` names value i, or, as `name red green blue`, a colour;
    "background" is no object and 255 is unlabelled, but stands for the second of two classes.
    Without the list 0 is background and the others are "class 1" and so on; in SAMRS's `gray` 0 is
    a class and 255 the background. Patches touch along sides and corners. Splits are folders,
    lists, or the first word of the names, as in LEVIR-CD's `train_36_0512_0512.png`.

    Args:
        path: the folder, also with `train`, `val` and `test` in it.

    Raises:
        AnnotationError: a mask cannot be read or is not of its picture's size, its classes are
            not in the list, or a picture is there at one date only.
    """
    root = absolute(path)
    names, colours = _classes(root)
    listed = official_splits(root)
    images, specks, bare = [], 0, list[str]()
    for layout in _layouts(root):
        masks, *other = map(_by_name, (layout.masks, *layout.pictures[1:]))
        for picture in pictures_below(layout.pictures[0]):
            name = picture.relative_to(layout.pictures[0]).with_suffix("")
            if name not in masks:
                bare.append(str(name))
                continue
            if any(name not in pictures for pictures in other):
                raise AnnotationError(
                    f"{picture}: has no picture of that name in {layout.pictures[1]}; a pair has "
                    f"one of each date."
                )
            paths = (str(picture), *(str(pictures[name]) for pictures in other))
            pair = len(paths) > 1
            values = _values(masks[name], None if pair else colours)
            if names is not None and len(names) == 2 and set(np.unique(values)) <= {0, IGNORED}:
                values = values // IGNORED
            empty = (0,) if pair else _empty(names, layout)
            found = list(patches((values > 0) if pair else values, empty))
            kept = [(value, shape) for value, shape in found if shape.area >= SPECK_PX]
            specks += len(found) - len(kept)
            boxed = [
                (
                    rectangle_around(shapely.get_coordinates(shape)),
                    CHANGE if pair else _named(names, value, masks[name]),
                )
                for value, shape in kept
            ]
            said = Question(CHANGE_ASKED, "yes" if found else "no", CHANGE)
            word = SPLITS.get(name.name.split("_")[0].lower()) if pair else None
            images.append(
                image_of(
                    picture,
                    root,
                    id=image_id(layout.pictures[0].parent / name, root),
                    size_wh=(values.shape[1], values.shape[0]),
                    split=layout.split or listed(picture) or word,
                    frames=paths if pair else (),
                    questions=(said,) if pair else (),
                    **objects(boxed),
                )
            )
    if bare:
        note("not annotated", root, f"{len(bare)} pictures have no mask: {few(bare)}",
             "they are left out")  # fmt: skip
    if specks:
        note("speck", root, f"{specks} patches of fewer than {SPECK_PX} pixels",
             "they are left out")  # fmt: skip
    refuse_repeats(images, root)
    return images


def patches(
    values: NDArray[np.integer | np.bool_], empty: tuple[int, ...] = (0, IGNORED)
) -> Iterator[tuple[int, shapely.Polygon]]:
    """Value and outline, in pixels, of each patch of equal values that touch, row by row.

    Args:
        values: (height, width) of whole numbers below 2 ** 31.
        empty: values that are no object.
    """
    from rasterio.features import shapes

    wide = np.asarray(values).astype(np.int32)
    for outline, value in shapes(wide, mask=~np.isin(wide, empty), connectivity=8):
        rings = outline["coordinates"]
        yield int(value), shapely.Polygon(rings[0], rings[1:])


def _empty(names: list[str] | None, layout: _Layout) -> tuple[int, ...]:
    if names is None:
        return (IGNORED,) if layout.masks.name.lower() == "gray" else (0,)
    return (IGNORED, *(n for n, name in enumerate(names) if name.lower() in _BACKGROUND), _OTHER)


_OTHER = 1 << 24  # a colour that is in no list


def _named(names: list[str] | None, value: int, mask: Path) -> str:
    if names is None:
        return f"class {value}"
    if value >= len(names):
        raise AnnotationError(
            f"{mask}: holds the value {value}, and classes.txt names {len(names)} from 0; add "
            f"the class."
        )
    return names[value]


def _values(mask: Path, colours: dict[int, int] | None) -> NDArray[np.integer]:
    """(height, width) class of each pixel."""
    try:
        values = _stored(mask)
    except ImageryError as error:
        raise AnnotationError(f"{mask}: cannot be read as a mask ({error}).") from None
    values = np.atleast_3d(values)[..., :3]
    # Eight bytes for each of a mask's pixels would be more than most machines have.
    if values.dtype.kind != "u":
        values = values.astype(np.uint8 if values.dtype.kind == "b" else np.int64)
    if values.shape[2] < 3 or (values == values[..., :1]).all():
        return values[..., 0]
    if colours is None:
        raise AnnotationError(
            f"{mask}: in colours; say them in classes.txt, a line `name red green blue` each."
        )
    red, green, blue = (values[..., band].astype(np.int32) for band in range(3))
    packed = (red << 16) | (green << 8) | blue
    classes = np.full(packed.shape, _OTHER, dtype=np.int32)
    for colour, number in colours.items():
        classes[packed == colour] = number
    return classes


def _stored(mask: Path) -> NDArray[Any]:
    """(height, width) or (height, width, band) values of a mask's file.

    Raises:
        ImageryError: it is damaged, too large, or of a format that is not read here.
    """
    if mask.suffix.lower() not in (".tif", ".tiff"):
        return np.asarray(open_image(mask))
    from swath.imagery.raster import opened

    with decoding(mask), opened(str(mask)) as raster:
        if raster.width * raster.height > LARGEST_READ_PX:
            raise ImageryError(f"{mask}: more than {LARGEST_READ_PX} pixels; cut it into tiles.")
        bands = raster.read(list(range(1, min(raster.count, 3) + 1)))
        return np.moveaxis(bands, 0, -1)


def _classes(root: Path) -> tuple[list[str] | None, dict[int, int] | None]:
    """Names by value, and values by packed colour where the list gives colours."""
    file = root / "classes.txt"
    if not file.is_file():
        return None, None
    names, colours = [], {}
    for number, line in enumerate(read_text(file).rstrip().splitlines()):
        words = line.replace(",", " ").split()
        if len(words) > 3 and all(word.isdecimal() for word in words[-3:]):
            red, green, blue = map(int, words[-3:])
            colours[(red << 16) | (green << 8) | blue] = number
            words = words[:-3]
        names.append(" ".join(words))
    return names, colours or None


def _layouts(root: Path) -> Iterator[_Layout]:
    bases: dict[Path, str | None] = {root: None}
    for base in subfolders(root):
        if base.name.lower() in (*SPLITS, "trainval"):
            split = SPLITS.get(base.name.lower())
            bases |= dict.fromkeys((base, *subfolders(base)), split)  # LoveDA's Train/Urban
    for base, split in bases.items():
        own = subfolders(base)
        folders = {one.name.lower(): one for folder in own if folder.name.lower() not in _PICTURES
                   for one in subfolders(folder) if one.name == "gray"}  # fmt: skip
        folders |= {one.name.partition("-")[0].lower(): one for one in own}  # JPEGImages-test
        folders |= {folder.name.lower(): folder for folder in own}
        masks = [folders[name] for name in (*_MASKS, "out") if name in folders]
        pairs = (pair for pair in _PAIRS if folders.keys() >= {*pair})
        pictures = tuple(folders[name] for name in next(pairs, ()))
        pictures = pictures or tuple(folders[name] for name in _PICTURES if name in folders)[:1]
        for folder in masks if pictures else ():
            if _alike(pictures[0], folder):
                yield _Layout(pictures, folder, split)
                break


def _alike(pictures: Path, masks: Path) -> bool:
    """Whether the first masks are named as pictures are."""
    return not _by_name(pictures).keys().isdisjoint(_by_name(masks))


def _by_name(folder: Path) -> dict[Path, Path]:
    """Pictures by their path in a folder, without suffix."""
    return {one.relative_to(folder).with_suffix(""): one for one in pictures_below(folder)}
