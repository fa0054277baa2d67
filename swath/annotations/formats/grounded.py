"""A JSON file a picture: VRSBench's annotations, and GeoPixelD's captions with polygons."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from swath.annotations.finding_pictures import UNMEASURED, absolute, few, files_below, subfolders
from swath.annotations.formats.table import Asked, questions_of
from swath.annotations.parsing import (
    OBJECT,
    Entry,
    Outline,
    Row,
    boxes_of,
    checked,
    class_of,
    scaled,
    sentence,
)
from swath.annotations.source import Source
from swath.annotations.splits import SPLITS
from swath.annotations.tables import load
from swath.errors import AnnotationError

_MARKED = re.compile(r"<p>(?P<phrase>(?:(?!<p>).)*?)</p>\s*\[SEG\]", re.DOTALL)
_LOOKED_AT = 3  # files of a folder by which the format is told


class _Object(Entry):
    obj_cls: str | None = None
    obj_corner: list[float] | None = None
    obj_coord: list[float] | None = None
    referring_sentence: str | None = None


class _VRSBench(Entry):
    image: str
    caption: str | None = None
    objects: list[Any]
    qa_pairs: list[Asked] | None = None


class _GeoPixel(Entry):
    img: str
    gcg_description: str
    polygons: list[Any]


def recognises(path: Path) -> bool:
    """Whether a folder, or one in it, begins with JSON files of one of these forms."""
    folders = [path, *subfolders(path)] if path.is_dir() else [path]
    return any(
        _fits(content) for folder in folders for _, content in islice(_contents(folder), _LOOKED_AT)
    )


def rows(source: Source) -> Iterator[Row]:
    """A row a file.

    VRSBench: `image`, `caption`, `objects` of `obj_cls`, `obj_corner` or `obj_coord` (shares of
    width and height) and `referring_sentence`, and `qa_pairs`; folders `Annotations_train` and
    `Annotations_val` say the split. GeoPixelD: `img`, and `gcg_description`, in which the n-th
    `<p>phrase</p> [SEG]` is the n-th of `polygons`, in pixels.
    """
    unlike = []
    for file, content in _contents(source.path):
        source.opens(file)
        if not _fits(content):
            unlike.append(file.name)
            continue
        folder = file.parent.name.lower().removeprefix("annotations_")
        with source.row():
            row = _vrsbench if "objects" in content else _geopixel
            yield row(content, SPLITS.get(folder), str(file), source)
    if unlike:
        what = f"{few(unlike)}: no annotations of one picture"
        effect = "left out; it may be a source of its own"
        source.note("file not read", what, effect, len(unlike), where=source.root)


def _vrsbench(content: Any, split: str | None, where: str, source: Source) -> Row:
    entry = checked(_VRSBench, content, where)
    outlines = []
    for thing_where, thing in source.entries(_Object, entry.objects, "objects"):
        with source.row():
            corners = thing.obj_corner or thing.obj_coord
            if corners is None:
                raise AnnotationError(f"{thing_where}: lacks obj_corner or obj_coord; add it.")
            quad = boxes_of(corners, UNMEASURED, thing_where).quads[0]
            outlines.append(
                Outline(quad, thing.obj_cls or OBJECT, thing.referring_sentence or None)
            )
    return Row(
        where,
        (entry.image,),
        partial(scaled, outlines) if outlines else (),
        captions=(entry.caption,) if entry.caption else (),
        questions=questions_of(entry.qa_pairs or (), where),
        split=split,
        joins=True,
    )


def _geopixel(content: Any, split: str | None, where: str, source: Source) -> Row:
    entry = checked(_GeoPixel, content, where)
    phrases = [match["phrase"].strip() for match in _MARKED.finditer(entry.gcg_description)]
    if len(phrases) != len(entry.polygons):
        raise AnnotationError(
            f"{where}: {len(phrases)} phrases and {len(entry.polygons)} lists of polygons; each "
            f"phrase has one."
        )
    outlines = []
    for phrase, polygons in zip(phrases, entry.polygons, strict=True):
        name = class_of(re.sub(r"-\d+$", "", phrase))
        single = phrase if phrases.count(phrase) == 1 else None
        with source.row():
            quads = boxes_of(polygons, UNMEASURED, where).quads
            outlines += [Outline(quad, name, single) for quad in quads]
    words = re.sub(r"<p>|</p>|\[SEG\]", " ", entry.gcg_description)
    # GeoPixelD names the picture by its path in another repository.
    picture = Path(entry.img).name
    return Row(where, (picture,), outlines, captions=(sentence(words),), split=split, joins=True)


def _contents(path: Path) -> Iterator[tuple[Path, Any]]:
    for file in files_below(path, ".json") if path.is_dir() else [path]:
        if file.suffix.lower() == ".json" and not file.name.startswith((".", "_")):
            yield absolute(file), load(file)


def _fits(content: Any) -> bool:
    if not isinstance(content, dict):
        return False
    if {"gcg_description", "polygons", "img"} <= content.keys():
        return True
    return {"image", "objects"} <= content.keys() and isinstance(content["objects"], list)
