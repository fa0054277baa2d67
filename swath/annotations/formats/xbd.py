"""xBD: building outlines as WKT before and after a disaster, with the damage after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shapely

from swath.annotations.finding_pictures import (
    SPLITS,
    PictureFinder,
    absolute,
    files_below,
    refuse_repeats,
)
from swath.annotations.image import AnnotatedImage
from swath.annotations.parsing import around, image_of, objects
from swath.annotations.tables import load
from swath.errors import AnnotationError

_PRE, _POST = "_pre_disaster", "_post_disaster"
_SPLITS = SPLITS | {"tier1": "train", "tier3": "train", "hold": "val"}


def recognises(path: Path) -> bool:
    """Whether a folder holds label files of xBD."""
    return path.is_dir() and next(label_files(path), None) is not None


def read(path: Path) -> list[AnnotatedImage]:
    """One sequence of two images a place, before and after, with a box a building.

    Classes say the damage, as "major-damage building", and "building" where no label of after
    is there, which leaves one image. The scene class is the kind of disaster. Sources' folders
    `train` and `tier3` are train, `hold` is val, `test` is test.

    Args:
        path: the folder, with `labels/<place>_{pre,post}_disaster.json` and `images` in it.

    Raises:
        AnnotationError: a label is not of this form, or a picture is missing.
    """
    root = absolute(path)
    finder, images, total = PictureFinder(root, root / "labels" / "xBD"), [], 0
    for name, before, after in label_files(root):
        sides = (_PRE, _POST) if after else (_PRE,)
        paths = [found for side in sides if (found := finder.find(f"{name}{side}.png"))]
        total += len(sides)
        file = after or before
        boxed = [_object(one, f"{file}: building {n}") for n, one in enumerate(buildings(file))]
        if len(paths) < len(sides):
            continue
        split = next((_SPLITS[part.lower()] for part in before.relative_to(root).parts
                      if part.lower() in _SPLITS), None)  # fmt: skip
        images.append(
            image_of(
                paths[0],
                root,
                id=f"{split}/{name}" if split else name,
                label=_kind(before),
                split=split,
                frames=tuple(map(str, paths)) if after else (),
                **objects(boxed),
            )
        )
    finder.refuse_missing(total)
    refuse_repeats(images, root)
    return images


def label_files(folder: Path) -> Iterator[tuple[str, Path, Path | None]]:
    """Name of each place, its label before, and that after where there is one."""
    for file in sorted(files_below(folder, f"{_PRE}.json")):
        name = file.name.removesuffix(f"{_PRE}.json")
        after = file.with_name(f"{name}{_POST}.json")
        yield name, file, after if after.is_file() else None


def buildings(file: Path) -> list[dict[str, Any]]:
    """The buildings of a label file, in pixels.

    Raises:
        AnnotationError: it holds no list of them.
    """
    content = load(file)
    features = content.get("features") if isinstance(content, dict) else None
    found = features.get("xy") if isinstance(features, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise AnnotationError(f"{file}: expected buildings under features.xy; is this xBD?")
    return found


def damage(one: dict[str, Any]) -> str:
    """xBD's word for the damage of a building, "" where it says none."""
    return str((one.get("properties") or {}).get("subtype") or "")


def _object(one: dict[str, Any], where: str) -> tuple[Any, str]:
    try:
        return around(shapely.from_wkt(one["wkt"])), f"{damage(one)} building".strip()
    except (KeyError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise AnnotationError(f"{where}: expected a polygon as WKT ({error!r}).") from None


def _kind(file: Path) -> str | None:
    about = load(file).get("metadata")
    return (about.get("disaster_type") or None) if isinstance(about, dict) else None
