"""Writers: boxes as COCO, YOLO, YOLO-OBB, DOTA text, GeoJSON or GeoPackage, beside pictures."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import orjson
import shapely
import yaml

from swath.annotations.image import AnnotatedImage, Images
from swath.boxes import Floats
from swath.errors import AnnotationError
from swath.files import Json, replacing_folder, write_json
from swath.imagery.opening import open_scene
from swath.imagery.scene import is_frame
from swath.registry import Registry

Writer = Callable[[Path, Images], None]
"""Writes images' boxes into a folder whose pictures lie at `place_of`."""

KIND = ".swath-labels"
"""In what `write` wrote: the format. No other folder of swath's, such as a run, has it."""


def write(folder: Path | str, images: Iterable[AnnotatedImage], format: str) -> int:
    """Write a folder that the reader of that format reads back; return the number of boxes.

    Pictures are copied. Corners are kept to a thousandth of a pixel or finer; captions, questions
    and further frames are of no such format and stay behind.

    Args:
        folder: to write, whole or not at all; one that is there is replaced if `write` wrote it.

    Raises:
        RequestError: there is no writer of that name, or the folder holds something else.
        AnnotationError: a picture is a frame of a clip, or lies nowhere on Earth as the format
            needs; or two would have one place.
    """
    images, writer = list(images), WRITERS.get(format)
    count = sum(len(image.boxes) for image in images)
    if not count:
        raise AnnotationError(f"none of {len(images)} images has a box; {format} holds boxes.")
    taken: dict[Path, str] = {}
    with replacing_folder(folder, KIND) as temporary:
        write_json(temporary / KIND, {"labels": format})
        for image in images:
            if is_frame(image.path):
                raise AnnotationError(f"{image.path}: a frame of a clip; save it as a picture.")
            before = taken.setdefault(place_of(image, "labels"), image.path)
            if before != image.path:
                raise AnnotationError(
                    f"{before} and {image.path} would both be {place_of(image)}; rename one."
                )
            place = temporary / place_of(image)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(image.path, place)
        writer(temporary, images)
    return count


def place_of(image: AnnotatedImage, kind: str = "images") -> Path:
    """Where an image's picture lies in what is written, or its file in a folder beside them."""
    parts = [part for part in Path(image.id).parts if part not in ("/", "..", "images")]
    if image.split and parts[0] == image.split:
        parts = parts[1:]
    suffix = Path(image.path).suffix if kind == "images" else ".txt"
    return Path(image.split or "", kind, *parts[:-1], parts[-1] + suffix)


def _coco(folder: Path, images: Images) -> None:
    names = _names(images)
    licences = sorted({image.licence for image in images if image.licence})
    for split in sorted({image.split or "" for image in images}):
        rows: list[Json] = []
        boxes: list[Json] = []
        for image in images:
            if (image.split or "") != split:
                continue
            width, height = image.size_wh
            row = {"id": len(rows) + 1, "file_name": place_of(image).as_posix()}
            row |= {"width": width, "height": height}
            if image.licence:
                row["license"] = licences.index(image.licence) + 1
            rows.append(row)
            boxes += _coco_boxes(image, len(rows), len(boxes), names)
        content = {
            "licenses": [{"id": n, "name": name} for n, name in enumerate(licences, 1)],
            "categories": [{"id": number + 1, "name": name} for name, number in names.items()],
            "images": rows,
            "annotations": boxes,
        }
        file = folder / "annotations" / f"instances{f'_{split}' if split else ''}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(orjson.dumps(content))


def _coco_boxes(
    image: AnnotatedImage, number: int, before: int, names: dict[str, int]
) -> Iterator[Json]:
    """The boxes of an image of a number, counted on from those before."""
    low, high = np.split(image.boxes.hbb.round(3), 2, axis=1)
    bboxes = np.hstack([low, (high - low).round(3)]).tolist()
    areas = image.boxes.areas.round(3).tolist()
    for place, corners in enumerate(_rows(image)):
        yield {
            "id": before + place + 1,
            "image_id": number,
            "category_id": names[image.names[place]] + 1,
            "bbox": bboxes[place],
            "iscrowd": 0,
            "area": areas[place],
            "segmentation": [corners],
            **({"phrase": image.phrases[place]} if image.phrases[place] else {}),
        }


def _yolo(folder: Path, images: Images) -> None:
    """The smallest upright boxes: middle, width and height."""

    def shares_of(image: AnnotatedImage) -> Floats:
        low, high = np.split(image.boxes.hbb.reshape(-1, 2, 2) / image.size_wh, 2, axis=1)
        return np.concatenate([(low + high) / 2, high - low], axis=1)

    _shares(folder, images, shares_of)


def _yolo_obb(folder: Path, images: Images) -> None:
    _shares(folder, images, lambda image: image.boxes.quads / image.size_wh)


def _shares(
    folder: Path,
    images: Images,
    shares_of: Callable[[AnnotatedImage], Floats],
) -> None:
    names = _names(images)
    for image in images:
        lines = []
        for name, row in zip(image.names, shares_of(image), strict=True):
            numbers = " ".join(f"{value:.7g}" for value in row.ravel())
            lines.append(f"{names[name]} {numbers}")
        _write_lines(folder / place_of(image, "labels"), lines)
    splits = sorted({image.split for image in images if image.split})
    about = {split: f"{split}/images" for split in splits} | {"names": [*names]}
    (folder / "data.yaml").write_text(yaml.safe_dump(about, allow_unicode=True), encoding="utf-8")


def _dota(folder: Path, images: Images) -> None:
    for image in images:
        lines = []
        for name, row in zip(image.names, _rows(image), strict=True):
            numbers = " ".join(str(value).removesuffix(".0") for value in row)
            lines.append(f"{numbers} {'-'.join(name.split())} 0")
        _write_lines(folder / place_of(image, "labelTxt"), lines)


def _geojson(folder: Path, images: Images) -> None:
    _features(folder / "labels.geojson", images, "GeoJSON", "EPSG:4326")


def _geopackage(folder: Path, images: Images) -> None:
    systems = {open_scene(image.path).crs for image in images if len(image.boxes)}
    shared = systems.pop() if len(systems) == 1 else None
    _features(folder / "labels.gpkg", images, "GPKG", shared or "EPSG:4326")


def _features(file: Path, images: Images, driver: str, crs: str) -> None:
    import pyogrio

    shapes: list[bytes] = []
    rows: list[tuple[str, str, str]] = []
    for image in images:
        if not len(image.boxes):
            continue
        ground = _on_ground(image, crs)
        if ground is None:
            raise AnnotationError(
                f"{image.path}: lies nowhere on Earth, or some of its boxes do, so they have no "
                f"place in {file.name}; write coco, dota or yolo-obb."
            )
        shapes += [*shapely.to_wkb(shapely.polygons(ground.reshape(-1, 4, 2)))]
        for name, phrase in zip(image.names, image.phrases, strict=True):
            rows.append((name, phrase or "", image.id))
    held = io.BytesIO()  # GDAL itself leaves parts out where the disk is full, and says nothing
    pyogrio.raw.write(
        held,
        np.array(shapes, dtype=object),
        [*np.array(rows, dtype=object).T],
        ["class", "phrase", "image"],
        geometry_type="Polygon",
        crs=crs,
        driver=driver,
        layer="labels",
        **({"COORDINATE_PRECISION": "9"} if driver == "GeoJSON" else {}),
    )
    file.write_bytes(held.getbuffer())


def _on_ground(image: AnnotatedImage, crs: str) -> Floats | None:
    """(n, 2) corners of boxes in a CRS, None where they have no place in it."""
    place = open_scene(image.path).georeference
    if place is None or place.crs is None:
        return None
    corners = image.boxes.quads.reshape(-1, 2)
    # Degrees are the scene's planet's; another CRS is that of all scenes.
    ground = place.to_lonlat(corners) if crs == "EPSG:4326" else place.to_ground(corners)
    return ground if np.isfinite(ground).all() else None


def _rows(image: AnnotatedImage) -> list[list[float]]:
    """Corners of each box, to a thousandth of a pixel and without minus zeros."""
    rows: list[list[float]] = (image.boxes.quads.reshape(-1, 8).round(3) + 0.0).tolist()
    return rows


def _names(images: Images) -> dict[str, int]:
    """Classes and their numbers, from 0, by the alphabet."""
    names = sorted({name for image in images for name in image.names})
    return {name: number for number, name in enumerate(names)}


def _write_lines(file: Path, lines: Sequence[str]) -> None:
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
