"""Writers: boxes as COCO, YOLO, YOLO-OBB, DOTA text, GeoJSON or GeoPackage, beside pictures."""

from __future__ import annotations

import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import shapely
import yaml
from numpy.typing import NDArray

from swath.annotations.image import AnnotatedImage
from swath.boxes import Boxes
from swath.errors import AnnotationError
from swath.files import replacing_folder
from swath.imagery.opening import open_scene
from swath.imagery.scene import is_frame
from swath.registry import Registry

Writer = Callable[[Path, Sequence[AnnotatedImage]], None]
"""Writes images' boxes into a folder whose pictures lie at `place_of`."""


def write(folder: Path | str, images: Iterable[AnnotatedImage], format: str) -> int:
    """Write a folder that the reader of that format reads back; return the number of boxes.

    Pictures are copied. Corners are kept to a thousandth of a pixel or finer; captions, questions
    and further frames are of no such format and stay behind.

    Args:
        folder: to write, whole or not at all; one that is there is replaced if `write` wrote it.
        images: with their sizes.
        format: a writer's name.

    Raises:
        RequestError: there is no writer of that name, or the folder holds something else.
        AnnotationError: a picture is a frame of a clip, or lies nowhere on Earth as the format
            needs.
    """
    images, writer = list(images), WRITERS.get(format)
    if not any(len(image.boxes) for image in images):
        raise AnnotationError(f"none of {len(images)} images has a box; {format} holds boxes.")
    with replacing_folder(folder) as temporary:
        for image in images:
            if is_frame(image.path):
                raise AnnotationError(f"{image.path}: a frame of a clip; save it as a picture.")
            place = temporary / place_of(image)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(image.path, place)
        writer(temporary, images)
    return sum(len(image.boxes) for image in images)


def place_of(image: AnnotatedImage) -> Path:
    """Where an image's picture lies in what is written."""
    parts = [part for part in Path(image.id).parts if part not in ("/", "..", "images")]
    if image.split and parts[0] == image.split:
        parts = parts[1:]
    own = Path(*parts)
    return Path(image.split or "", "images", own.with_name(own.name + Path(image.path).suffix))


def _coco(folder: Path, images: Sequence[AnnotatedImage]) -> None:
    names = _names(images)
    licences = sorted({image.licence for image in images if image.licence})
    splits: dict[str, list[AnnotatedImage]] = defaultdict(list)
    for image in images:
        splits[image.split or ""].append(image)
    for split, own in splits.items():
        rows, objects = list[dict[str, Any]](), list[dict[str, Any]]()
        for number, image in enumerate(own, 1):
            row = {"id": number, "file_name": place_of(image).as_posix()}
            row |= {"width": image.size_wh[0], "height": image.size_wh[1]}
            rows.append(row | ({"license": licences.index(image.licence) + 1}
                               if image.licence else {}))  # fmt: skip
            for quad, name, phrase in zip(_each(image), image.names, image.phrases, strict=True):
                x1, y1, x2, y2 = map(float, quad.hbb[0].round(3))
                objects.append({
                    "id": len(objects) + 1, "image_id": number, "category_id": names[name] + 1,
                    "bbox": [x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)], "iscrowd": 0,
                    "area": round(float(quad.areas[0]), 3),
                    "segmentation": [_row(quad)], **({"phrase": phrase} if phrase else {}),
                })  # fmt: skip
        content = {
            "licenses": [{"id": n, "name": name} for n, name in enumerate(licences, 1)],
            "categories": [{"id": number + 1, "name": name} for name, number in names.items()],
            "images": rows,
            "annotations": objects,
        }
        file = folder / "annotations" / f"instances{f'_{split}' if split else ''}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(orjson.dumps(content))


def _yolo(folder: Path, images: Sequence[AnnotatedImage]) -> None:
    """The smallest upright boxes: middle, width and height."""

    def shares_of(image: AnnotatedImage) -> NDArray[np.float64]:
        low, high = np.split(image.boxes.hbb.reshape(-1, 2, 2) / image.size_wh, 2, axis=1)
        return np.concatenate([(low + high) / 2, high - low], axis=1)

    _shares(folder, images, shares_of)


def _yolo_obb(folder: Path, images: Sequence[AnnotatedImage]) -> None:
    _shares(folder, images, lambda image: image.boxes.quads / image.size_wh)


def _shares(
    folder: Path,
    images: Sequence[AnnotatedImage],
    shares_of: Callable[[AnnotatedImage], NDArray[np.float64]],
) -> None:
    names = _names(images)
    for image in images:
        _lines(folder, image, "labels", [
            f"{names[name]} " + " ".join(f"{value:.7g}" for value in row.ravel())
            for row, name in zip(shares_of(image), image.names, strict=True)
        ])  # fmt: skip
    splits = {image.split for image in images if image.split}
    about = {split: f"{split}/images" for split in sorted(splits)} | {"names": [*names]}
    (folder / "data.yaml").write_text(yaml.safe_dump(about, allow_unicode=True), encoding="utf-8")


def _dota(folder: Path, images: Sequence[AnnotatedImage]) -> None:
    for image in images:
        _lines(folder, image, "labelTxt", [
            " ".join(f"{value:g}" if value == round(value) else str(value) for value in _row(quad))
            + f" {'-'.join(name.split())} 0"
            for quad, name in zip(_each(image), image.names, strict=True)
        ])  # fmt: skip


def _geojson(folder: Path, images: Sequence[AnnotatedImage]) -> None:
    _features(folder / "labels.geojson", images, "GeoJSON", "EPSG:4326")


def _geopackage(folder: Path, images: Sequence[AnnotatedImage]) -> None:
    systems = {open_scene(image.path).crs for image in images if len(image.boxes)}
    one = systems.pop() if len(systems) == 1 else "EPSG:4326"
    _features(folder / "labels.gpkg", images, "GPKG", one or "EPSG:4326")


def _features(file: Path, images: Sequence[AnnotatedImage], driver: str, crs: str) -> None:
    import pyogrio

    shapes, names, phrases, ids = list[bytes](), list[str](), list[str](), list[str]()
    for image in images:
        scene = open_scene(image.path)
        place = scene.georeference
        if len(image.boxes) and (place is None or place.crs is None):
            raise AnnotationError(
                f"{image.path}: lies nowhere on Earth, so its boxes have no place in {file.name}; "
                f"write coco, dota or yolo-obb."
            )
        if place is None or not len(image.boxes):
            continue
        corners = image.boxes.quads.reshape(-1, 2)
        # Degrees are the scene's planet's; another CRS is that of all scenes.
        ground = place.to_lonlat(corners) if crs == "EPSG:4326" else place.to_ground(corners)
        if not np.isfinite(ground).all():
            raise AnnotationError(
                f"{image.path}: some of its boxes lie off the planet, so they have no place in "
                f"{file.name}; write coco, dota or yolo-obb."
            )
        shapes += [*shapely.to_wkb(shapely.polygons(ground.reshape(-1, 4, 2)))]
        names += image.names
        phrases += [phrase or "" for phrase in image.phrases]
        ids += [image.id] * len(image.boxes)
    columns = [np.array(values, dtype=object) for values in (names, phrases, ids)]
    more = {"COORDINATE_PRECISION": "9"} if driver == "GeoJSON" else {}
    pyogrio.raw.write(
        file,
        np.array(shapes, dtype=object),
        columns,
        ["class", "phrase", "image"],
        geometry_type="Polygon",
        crs=crs,
        driver=driver,
        layer="labels",
        **more,
    )


def _each(image: AnnotatedImage) -> list[Boxes]:
    return [image.boxes[row] for row in range(len(image.boxes))]


def _row(box: Boxes) -> list[float]:
    values: list[float] = box.quads[0].ravel().round(3).tolist()
    return [0.0 if math.isclose(value, 0) else value for value in values]


def _names(images: Sequence[AnnotatedImage]) -> dict[str, int]:
    """Classes and their numbers, from 0, by the alphabet."""
    return {name: n for n, name in enumerate(sorted({n for one in images for n in one.names}))}


def _lines(folder: Path, image: AnnotatedImage, kind: str, lines: Sequence[str]) -> None:
    place = place_of(image)
    inner = place.parts[2 if image.split else 1 :]
    file = folder.joinpath(*([image.split] if image.split else []), kind, *inner)
    file = file.with_suffix(".txt")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


_OWN: dict[str, Writer] = {
    "coco": _coco,
    "yolo": _yolo,
    "yolo-obb": _yolo_obb,
    "dota": _dota,
    "geojson": _geojson,
    "geopackage": _geopackage,
}
WRITERS: Registry[Writer] = Registry("writer", "swath.writers", _OWN)
