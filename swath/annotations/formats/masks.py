"""Masks: change between two dates (LEVIR-CD, DSIFN) and classes (SAMRS, LoveDA and the like)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from swath.annotations.finding_pictures import absolute, image_id, pictures_below, subfolders
from swath.annotations.image import Question
from swath.annotations.parsing import Outline, Row, numbers_in
from swath.annotations.source import Source
from swath.annotations.splits import SPLITS
from swath.annotations.tables import read_text
from swath.boxes import rectangle_around
from swath.errors import AnnotationError, ImageryError
from swath.imagery.picture import open_image
from swath.imagery.scene import LARGEST_READ_PX, decoding

CHANGE = "change"
"""Class of what a change mask shows."""

CHANGE_ASKED = "Has anything changed between the two images?"

SPECK_PX = 4
"""Patches of fewer pixels are borders of others, not objects."""

MOST_PATCHES, MOST_CORNERS = 20_000, 500_000
"""Patches of a mask and upper left corners in it; more are noise, and would take minutes a mask."""

_NOISE = (
    f"more than {MOST_PATCHES} patches of equal values; is it a picture, or a mask that was saved "
    f"as JPEG? Take it out, or cut it into tiles."
)

IGNORED = 255
"""What masks of classes hold where nothing is labelled."""

_BACKGROUND = {"", "background", "ignore", "ignored", "unlabeled", "unlabelled"}
_BACKGROUND |= {"no-data", "nodata"}
_PICTURES = ("images", "image", "img", "imgs", "img_dir", "images_png", "jpegimages")
_MASKS = ("masks", "mask", "gray", "ann_dir", "masks_png", "segmentationclass", "labels", "label")
_PAIRS = (("a", "b"), ("t1", "t2"), ("im1", "im2"), ("time1", "time2"))


_OTHER = 1 << 24  # a colour that is in no list
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class _Layout:
    """Folders of pictures, one or two dates, beside the folder of their masks."""

    pictures: tuple[Path, ...]
    masks: Path
    split: str | None


@dataclass(frozen=True)
class _Classes:
    """Names by value, and values by packed colour; neither where no list says them."""

    names: Sequence[str] = ()
    colours: Mapping[int, int] = field(default_factory=dict)

    def named(self, value: int, mask: Path) -> str:
        """The class of a value in a mask."""
        if not self.names:
            return f"class {value}"
        if value >= len(self.names):
            raise AnnotationError(
                f"{mask}: holds the value {value}, and classes.txt names {len(self.names)} from 0; "
                f"add the class."
            )
        return self.names[value]

    def empty(self, layout: _Layout) -> tuple[int, ...]:
        """Values that are no object."""
        if not self.names:
            return (IGNORED,) if layout.masks.name.lower() == "gray" else (0,)
        background = [n for n, name in enumerate(self.names) if name.lower() in _BACKGROUND]
        return (IGNORED, _OTHER, *background)


def recognises(path: Path) -> bool:
    """Whether a folder holds pictures beside masks of the same names."""
    return path.is_dir() and next(_layouts(absolute(path)), None) is not None


def rows(source: Source) -> Iterator[Row]:
    """A row a mask, of two pictures for a change mask; boxes stand around its patches.

    `A/`, `B/` and `label/` (or `t1/`, `t2/`, `mask/`) are two dates and where they differ: each
    patch is a box of class "change", and whether anything changed is a question. `images/` beside
    `masks/` (`gray/`, `labels/`, `ann_dir/`) are pictures and their classes: each patch of a class
    is a box. Line i of `classes.txt` names value i, or, as `name red green blue`, a colour;
    "background" is no object and 255 is unlabelled, but stands for the second of two classes.
    Without the list 0 is background and the others are "class 1" and so on; in SAMRS's `gray` 0 is
    a class and 255 the background. Patches touch along sides and corners. Splits are folders,
    lists, or the first word of the names, as in LEVIR-CD's `train_36_0512_0512.png`.
    """
    classes = _classes(source.root)
    specks = unnamed = 0
    for layout in _layouts(source.root):
        masks = _by_name(layout.masks)
        later = [_by_name(folder) for folder in layout.pictures[1:]]
        is_change = len(layout.pictures) > 1
        empty = (0,) if is_change else classes.empty(layout)
        for name, picture in _by_name(layout.pictures[0]).items():
            if name not in masks:
                continue
            source.file = masks[name]
            with source.row():
                if any(name not in pictures for pictures in later):
                    raise AnnotationError(
                        f"{picture}: has no picture of that name in {layout.pictures[1]}; a pair "
                        f"has one of each date."
                    )
                values = _class_numbers(masks[name], _Classes() if is_change else classes)
                try:
                    shapes = patches(values > 0 if is_change else values, empty)
                except AnnotationError as error:
                    raise AnnotationError(f"{masks[name]}: {error}") from None
                large = [(value, shape) for value, shape in shapes if shape.area >= SPECK_PX]
                specks += len(shapes) - len(large)
                unnamed += bool((values == _OTHER).any())
                answer = Question(CHANGE_ASKED, "yes" if shapes else "no", CHANGE)
                yield Row(
                    str(masks[name]),
                    [picture, *(pictures[name] for pictures in later)],
                    [
                        Outline(
                            rectangle_around(shapely.get_coordinates(shape)),
                            CHANGE if is_change else classes.named(value, masks[name]),
                        )
                        for value, shape in large
                    ],
                    questions=[answer] if is_change else (),
                    split=layout.split,
                    other_split=_first_word(name) if is_change else None,
                    id=image_id(layout.pictures[0].parent / name, source.root),
                    size_wh=(values.shape[1], values.shape[0]),
                )
    words = f"patches of fewer than {SPECK_PX} pixels"
    source.count("speck", specks, words, where=source.root)
    words = "masks hold colours that classes.txt does not name"
    source.count("unnamed colour", unnamed, words, "no object", source.root)


def _first_word(name: Path) -> str | None:
    return SPLITS.get(name.name.split("_")[0].lower())


def patches(
    values: NDArray[np.integer | np.bool_], empty: tuple[int, ...] = (0, IGNORED)
) -> list[tuple[int, shapely.Polygon]]:
    """Value and outline, in pixels, of each patch of equal values that touch, row by row.

    Args:
        values: (height, width) of whole numbers below 2 ** 31.
        empty: values that are no object.

    Raises:
        AnnotationError: there are so many that it is no mask.
    """
    from rasterio.features import shapes

    wide = np.asarray(values).astype(np.int32)
    starts = (wide[1:, 1:] != wide[:-1, 1:]) & (wide[1:, 1:] != wide[1:, :-1])
    if np.count_nonzero(starts) > MOST_CORNERS:
        raise AnnotationError(_NOISE)
    outlines = []
    for outline, value in shapes(wide, mask=~np.isin(wide, empty), connectivity=8):
        rings = outline["coordinates"]
        outlines.append((int(value), shapely.Polygon(rings[0], rings[1:])))
        if len(outlines) > MOST_PATCHES:
            raise AnnotationError(_NOISE)
    return outlines


def _class_numbers(mask: Path, classes: _Classes) -> NDArray[np.integer]:
    """(height, width) class of each pixel."""
    bands = np.atleast_3d(_stored(mask))[..., :3]
    grey = bands.shape[2] < 3 or bool((bands == bands[..., :1]).all())
    if not grey and not classes.colours:
        raise AnnotationError(
            f"{mask}: in colours; say them in classes.txt, a line `name red green blue` each."
        )
    if bands.shape[2] == 3 and classes.colours:
        by_colour = _by_colour(bands, classes.colours)
        if not grey or (by_colour != _OTHER).any():
            return by_colour
    numbers = bands[..., 0]
    if len(classes.names) == 2 and set(np.unique(numbers)) <= {0, IGNORED}:
        numbers = numbers // IGNORED
    return numbers


def _by_colour(bands: NDArray[Any], colours: Mapping[int, int]) -> NDArray[np.int32]:
    """(height, width) class of each pixel's colour, `_OTHER` for a colour that is in no list."""
    red, green, blue = (bands[..., band].astype(np.int32) for band in range(3))
    packed = (red << 16) | (green << 8) | blue
    numbers = np.full(packed.shape, _OTHER, dtype=np.int32)
    for colour, number in colours.items():
        numbers[packed == colour] = number
    return numbers


def _stored(mask: Path) -> NDArray[Any]:
    """(height, width) or (height, width, band) whole numbers of a mask's file.

    Raises:
        AnnotationError: it is damaged, too large, of a format that is not read here, or holds
            other numbers.
    """
    try:
        values = _tiff(mask) if mask.suffix.lower() in (".tif", ".tiff") else open_image(mask)
    except ImageryError as error:
        raise AnnotationError(f"{mask}: cannot be read as a mask ({error}).") from None
    values = np.asarray(values)
    kind = values.dtype.kind
    if kind == "b":
        return values.astype(np.uint8)
    # Eight bytes for each of a mask's pixels would be more than most machines have.
    if kind == "f" and not (values == np.floor(values)).all():
        raise AnnotationError(f"{mask}: holds numbers that are not whole; is it a mask?")
    small = kind == "u" and values.dtype.itemsize <= 2
    if not small and values.size and (values.min() < 0 or values.max() > _LARGEST):
        raise AnnotationError(f"{mask}: holds numbers beyond 0 to {_LARGEST}; is it a mask?")
    return values.astype(np.int32) if kind == "f" else values


def _tiff(mask: Path) -> NDArray[Any]:
    from swath.imagery.raster import opened

    with decoding(mask), opened(str(mask)) as raster:
        if raster.width * raster.height > LARGEST_READ_PX:
            raise ImageryError(f"{mask}: more than {LARGEST_READ_PX} pixels; cut it into tiles.")
        bands = raster.read(list(range(1, min(raster.count, 3) + 1)))
        return np.moveaxis(bands, 0, -1)


def _classes(root: Path) -> _Classes:
    """The classes that a set's list names."""
    file = root / "classes.txt"
    if not file.is_file():
        return _Classes()
    names, colours = [], {}
    for number, line in enumerate(read_text(file).rstrip().splitlines()):
        words = line.replace(",", " ").split()
        if len(words) > 3 and all(word.isdecimal() for word in words[-3:]):
            red, green, blue = numbers_in(words[-3:], f"{file}:{number + 1}")
            if max(red, green, blue) > 255:
                raise AnnotationError(
                    f"{file}:{number + 1}: a colour of '{' '.join(words[-3:])[:60]}'; red, green "
                    f"and blue count from 0 to 255."
                )
            colours[(int(red) << 16) | (int(green) << 8) | int(blue)] = number
            words = words[:-3]
        names.append(" ".join(words))
    return _Classes(names, colours)


def _layouts(root: Path) -> Iterator[_Layout]:
    bases: dict[Path, str | None] = {root: None}
    for base in subfolders(root):
        if base.name.lower() in (*SPLITS, "trainval"):
            split = SPLITS.get(base.name.lower())
            bases |= dict.fromkeys((base, *subfolders(base)), split)  # LoveDA's Train/Urban
    for base, split in bases.items():
        folders = _folders(base)
        pair = next((pair for pair in _PAIRS if folders.keys() >= {*pair}), None)
        names = pair or [name for name in _PICTURES if name in folders][:1]
        pictures = tuple(folders[name] for name in names)
        for name in (*_MASKS, "out"):
            if pictures and name in folders and _alike(pictures[0], folders[name]):
                yield _Layout(pictures, folders[name], split)
                break


def _folders(base: Path) -> dict[str, Path]:
    """Folders of pictures and masks by their names, JPEGImages-test under both of its own."""
    inner = subfolders(base)
    folders: dict[str, Path] = {}
    for folder in inner:  # SAMRS's hbox_segs_init/gray
        if folder.name.lower() not in _PICTURES:
            folders |= {path.name: path for path in subfolders(folder) if path.name == "gray"}
    folders |= {folder.name.partition("-")[0].lower(): folder for folder in inner}
    return folders | {folder.name.lower(): folder for folder in inner}


def _alike(pictures: Path, masks: Path) -> bool:
    """Whether the first masks are named as pictures are."""
    return not _by_name(pictures).keys().isdisjoint(_by_name(masks))


def _by_name(folder: Path) -> dict[Path, Path]:
    """Pictures by their path in a folder, without suffix."""
    return {path.relative_to(folder).with_suffix(""): path for path in pictures_below(folder)}
