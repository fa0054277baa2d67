"""JSON files of annotations in a data folder: which there are, and what is in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from swath.annotations.pictures import SPLITS, absolute
from swath.errors import AnnotationError

_PLACES = ("*.json", "annotations/*.json", "*/_annotations.coco.json")


def matching_files(path: Path, fits: Callable[[Any], bool]) -> list[tuple[Path, Any]]:
    """The JSON files at `path` whose content fits, with that content.

    Args:
        path: a JSON file, or a folder holding some directly, in `annotations`, or, named
            `_annotations.coco.json`, in the folders in it.
        fits: whether a parsed content is of the format looked for.

    Raises:
        AnnotationError: a file is not JSON.
    """
    if path.is_dir():
        files = sorted({file for place in _PLACES for file in path.glob(place)})
    else:
        files = [path] if path.suffix.lower() == ".json" else []
    contents = ((absolute(file), load(file)) for file in files if not file.name.startswith("."))
    return [(file, content) for file, content in contents if fits(content)]


def load(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        AnnotationError: it cannot be read, or is not JSON.
    """
    try:
        return orjson.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise AnnotationError(
            f"{path}: not valid JSON ({error}); was it cut short? Copy it again, or move it away "
            f"if it has nothing to do with the pictures."
        ) from None
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror}).") from None


def root_of(path: Path, file: Path) -> Path:
    """The set's folder: `path` if it is one, else the folder of the file, above `annotations`."""
    if path.is_dir():
        return absolute(path)
    folder = absolute(file.parent)
    return folder.parent if folder.name == "annotations" else folder


def split_named(word: object, where: str) -> str | None:
    """Our name of the split that a field names, None for none.

    Raises:
        AnnotationError: it names no split that is known.
    """
    if word is None or word == "":
        return None
    split = SPLITS.get(str(word).lower())
    if split is None:
        raise AnnotationError(
            f"{where}: unknown split '{word}'; write one of {', '.join(SPLITS)}, or leave it out."
        )
    return split
