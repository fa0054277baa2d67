"""A JSON file a picture: VRSBench's annotations, and GeoPixelD's captions with polygons."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swath.annotations.finding_pictures import (
    SPLITS,
    UNMEASURED,
    PictureFinder,
    absolute,
    few,
    files_below,
    official_splits,
    subfolders,
)
from swath.annotations.formats.rsivqa import questions_of
from swath.annotations.image import AnnotatedImage
from swath.annotations.notes import note, using
from swath.annotations.parsing import (
    OBJECT,
    boxes_of,
    class_of,
    image_of,
    objects,
    put,
    sentence,
    size_of,
)
from swath.annotations.tables import load
from swath.errors import AnnotationError

_MARKED = re.compile(r"<p>(?P<phrase>.*?)</p>\s*\[SEG\]", re.DOTALL)


def recognises(path: Path) -> bool:
    """Whether the first JSON file of a folder, or of one in it, is of one of these forms."""
    places = [path, *subfolders(path)] if path.is_dir() else [path]
    return any(_fits(next(_contents(place), (place, None))[1]) for place in places)


def read(path: Path) -> list[AnnotatedImage]:
    """One image a file.

    VRSBench: `image`, `caption`, `objects` of `obj_cls`, `obj_corner` or `obj_coord` (shares of
    width and height) and `referring_sentence`, and `qa_pairs`; folders `Annotations_train` and
    `Annotations_val` say the split. GeoPixelD: `img`, and `gcg_description`, in which the n-th
    `<p>phrase</p> [SEG]` is the n-th of `polygons`, in pixels.

    Raises:
        AnnotationError: a file is not of this form, or its picture is missing.
    """
    root = absolute(path if path.is_dir() else path.parent)
    images, left = dict[str, AnnotatedImage](), list[str]()
    finder, listed, total = PictureFinder(root, root / "json"), official_splits(root), 0
    for file, content in _contents(path):
        using(file)
        if not _fits(content):
            left.append(file.name)
            continue
        total += 1
        geopixel = "gcg_description" in content
        # GeoPixelD names the picture by its path in another repository.
        name = Path(str(content["img"])).name if geopixel else content["image"]
        picture = finder.find(name)
        if picture is None:
            continue
        try:
            rows = (_geopixel if geopixel else _vrsbench)(content, picture, file)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AnnotationError(f"{file}: an object lacks what it needs ({error!r}).") from None
        caption = content.get("caption") or ""
        if geopixel:
            caption = sentence(re.sub(r"<p>|</p>|\[SEG\]", " ", content["gcg_description"]))
        folder = file.parent.name.lower().removeprefix("annotations_")
        image = image_of(
            picture,
            root,
            **objects(rows),
            captions=(caption,) if caption else (),
            split=SPLITS.get(folder) or listed(picture),
            questions=questions_of({"questions": content.get("qa_pairs") or []}, str(file)),
        )
        put(images, image, str(file))
    if left:
        what = f"{few(left)}: no annotations of one picture"
        note("file not read", root, what, "left out; it may be a source of its own", len(left))
    finder.refuse_missing(total)
    return list(images.values())


Rows = list[tuple[Any, str, str | None]]  # corners, class and phrase


def _vrsbench(content: dict[str, Any], picture: Path, file: Path) -> Rows:
    rows = []
    for one in content["objects"]:
        corners = [float(number) for number in one.get("obj_corner") or one["obj_coord"]]
        name, phrase = str(one.get("obj_cls") or OBJECT), one.get("referring_sentence") or None
        rows.append((boxes_of(corners, UNMEASURED, str(file)).quads[0], name, phrase))
    size = size_of(picture, str(file)) if rows else UNMEASURED
    return [(quad * size, name, phrase) for quad, name, phrase in rows]


def _geopixel(content: dict[str, Any], picture: Path, file: Path) -> Rows:
    phrases = [match["phrase"].strip() for match in _MARKED.finditer(content["gcg_description"])]
    polygons = content["polygons"]
    if len(phrases) != len(polygons):
        raise AnnotationError(
            f"{file}: {len(phrases)} phrases and {len(polygons)} lists of polygons; each phrase "
            f"has one."
        )
    rows: Rows = []
    for phrase, outline in zip(phrases, polygons, strict=True):
        name, single = class_of(re.sub(r"-\d+$", "", phrase)), phrases.count(phrase) == 1
        quads = boxes_of(outline, UNMEASURED, str(file)).quads
        rows += [(quad, name, phrase if single else None) for quad in quads]
    return rows


def _contents(path: Path) -> Iterator[tuple[Path, Any]]:
    files = files_below(path, ".json") if path.is_dir() else [path]
    for file in files:
        if file.suffix.lower() == ".json" and not file.name.startswith((".", "_")):
            yield absolute(file), load(file)


def _fits(content: Any) -> bool:
    return isinstance(content, dict) and (
        {"gcg_description", "polygons", "img"} <= content.keys()
        or ({"image", "objects"} <= content.keys() and isinstance(content["objects"], list))
    )
