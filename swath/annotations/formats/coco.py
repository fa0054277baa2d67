"""COCO files: boxes with categories, oriented where a polygon says more, and captions."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from swath.annotations.finding_pictures import (
    UNMEASURED,
    PictureFinder,
    few,
    official_splits,
    refuse_repeats,
)
from swath.annotations.image import AnnotatedImage
from swath.annotations.notes import note, using
from swath.annotations.parsing import image_of, objects, put
from swath.annotations.tables import matching_files, root_of, split_in
from swath.boxes import Boxes
from swath.errors import AnnotationError

Quad = NDArray[np.float64]  # (4, 2) pixels


def recognises(path: Path) -> bool:
    """Whether a file is a COCO file of boxes or captions, or a folder holds one."""
    return bool(matching_files(path, _fits))


def read(path: Path) -> list[AnnotatedImage]:
    """One image an entry, with a box an annotation; images without annotations are kept.

    A polygon under `segmentation` becomes the smallest oriented rectangle around it, one of four
    corners is kept; without any `bbox` (x, y, width, height) is taken. Crowd annotations stand for
    no single object and are left out. Files of captions (`captions_train2017.json`) are added to
    the images of the others; beside `instances*` files further ones of boxes are not read. The
    split comes from the word train, val or test in the file's or its folder's name, else from
    lists like `splits/test.txt`.

    Args:
        path: the JSON file, or the folder holding one or several, also in `annotations` or as
            `<split>/_annotations.coco.json`.

    Raises:
        AnnotationError: a picture is missing, named twice or outside the folder; an annotation
            points to no image or category, or its box has no area.
    """
    images: list[AnnotatedImage] = []
    for file, content in box_files(path):
        images += _read_file(file, content, root_of(path, file))
    refuse_repeats(images, path)
    named = {image.id: image for image in images}
    for file, content in matching_files(path, _fits):
        if _captioned(content):
            for image in _read_file(file, content, root_of(path, file)):
                put(named, image, str(file))
    return list(named.values())


def box_files(path: Path) -> list[tuple[Path, Any]]:
    """The files of boxes at a path, with what they hold."""
    boxed = [pair for pair in matching_files(path, _fits) if not _captioned(pair[1])]
    return [pair for pair in boxed if pair[0].name.startswith("instances")] or boxed


def _read_file(file: Path, content: dict[str, Any], root: Path) -> list[AnnotatedImage]:
    finder, listed = PictureFinder(root, file), official_splits(root)
    licences = {row.get("id"): row.get("name") for row in content.get("licenses") or []}
    using(file)
    check_rows(file, content)
    captions = _captions(file, content) if _captioned(content) else {}
    boxed = {} if captions else _objects(file, content)
    images = []
    for row in content["images"]:
        picture = finder.find(row.get("file_name"))
        if picture is None:
            continue
        size = row.get("width"), row.get("height")
        images.append(
            image_of(
                picture,
                root,
                captions=tuple(captions.get(row["id"], ())),
                size_wh=(int(size[0]), int(size[1])) if all(size) else UNMEASURED,
                split=split_in(file) or listed(picture),
                licence=licences.get(row.get("license")),
                **objects(boxed.get(row["id"], ())),
            )
        )
    finder.refuse_missing(len(content["images"]))
    return images


def _fits(content: Any) -> bool:
    if not isinstance(content, dict):
        return False
    lists = [content.get(key) for key in ("images", "annotations")]
    if not all(isinstance(rows, list) for rows in lists) or not content["images"]:
        return False
    return _captioned(content) or (
        isinstance(content.get("categories"), list)
        and all(isinstance(row, dict) and "bbox" in row for row in content["annotations"][:1])
    )


def _captioned(content: dict[str, Any]) -> bool:
    return any(isinstance(row, dict) and "caption" in row for row in content["annotations"][:1])


def check_rows(file: Path, content: dict[str, Any]) -> None:
    """Check that rows are objects, that images have ids, and that annotations are of images.

    Raises:
        AnnotationError: they are not.
    """
    for key, needed in (("categories", {"id", "name"}), ("images", set()), ("annotations", set())):
        for number, row in enumerate(content.get(key, [])):
            if not isinstance(row, dict) or not needed <= row.keys():
                raise AnnotationError(
                    f"{file}: {key}[{number}] is no object{' with id and name' if needed else ''}; "
                    f"is the file whole?"
                )
    known: set[Any] = set()
    for row in content["images"]:
        if row.get("id") is None or row["id"] in known:
            raise AnnotationError(
                f"{file}: two images of the id {row.get('id')!r}, or one without; "
                f"give each image an id of its own."
            )
        known.add(row["id"])
    for row in content["annotations"]:
        if row.get("image_id") not in known:
            raise AnnotationError(
                f"{file}: annotation {row.get('id', '?')}: points to image "
                f"{row.get('image_id')!r}, which is not listed; remove it or list its image."
            )


def _captions(file: Path, content: dict[str, Any]) -> dict[Any, list[str]]:
    """Captions by image id."""
    captions: dict[Any, list[str]] = defaultdict(list)
    for row in content["annotations"]:
        if not isinstance(said := row.get("caption"), str):
            raise AnnotationError(
                f"{file}: annotation {row.get('id', '?')}: expected a caption as text, got "
                f"{said!r}; correct it."
            )
        captions[row["image_id"]].append(said.strip())
    return captions


def _objects(file: Path, content: dict[str, Any]) -> dict[Any, list[tuple[Quad, str]]]:
    """Corners and class of each annotation, by image id."""
    categories = {row["id"]: str(row["name"]) for row in content["categories"]}
    found: dict[Any, list[tuple[Quad, str]]] = defaultdict(list)
    flat, crowds = list[str](), 0
    for row in content["annotations"]:
        where = f"{file}: annotation {row.get('id', '?')}"
        if row.get("category_id") not in categories:
            raise AnnotationError(
                f"{where}: points to category {row.get('category_id')!r}, known are "
                f"{few([str(key) for key in categories], 10)}; add the category."
            )
        if row.get("iscrowd"):
            crowds += 1
            continue
        quad = _quad(row, where)
        if quad is None:
            flat.append(str(row.get("id", "?")))
        else:
            found[row["image_id"]].append((quad, categories[row["category_id"]]))
    if crowds:
        note("crowd", file, f"{crowds} annotations are of crowds", "left out", crowds)
    if flat:
        raise AnnotationError(
            f"{file}: {len(flat)} annotations have boxes without area (ids {few(flat)}); bbox is "
            f"x, y, width, height, both above 0: were corners written instead? Correct or remove."
        )
    return found


def _quad(row: dict[str, Any], where: str) -> Quad | None:
    """Corners of one annotation, None if it has no area."""
    try:
        polygons = row.get("segmentation")
        if isinstance(polygons, list) and polygons:
            points = np.concatenate([np.asarray(p, dtype=np.float64).ravel() for p in polygons])
            if len(polygons) == 1 and len(points) == 8 and np.isfinite(points).all():
                quad = points.reshape(4, 2)  # four corners are kept, as DOTA's are
                if (outline := shapely.Polygon(quad)).is_valid and outline.area > 0:
                    return quad
            around = shapely.oriented_envelope(shapely.MultiPoint(points.reshape(-1, 2)))
            if not np.isfinite(points).all() or not isinstance(around, shapely.Polygon):
                return None
            return np.asarray(around.exterior.coords)[:4] if around.area > 0 else None
        x, y, width, height = (float(value) for value in row["bbox"])
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(
            f"{where}: expected bbox as four numbers x, y, width, height ({error!r}); correct it."
        ) from None
    if not np.isfinite([x, y, width, height]).all() or width <= 0 or height <= 0:
        return None
    return Boxes.from_hbb([x, y, x + width, y + height]).quads[0]
