"""xBD: building outlines as WKT before and after a disaster, with the damage after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from swath.annotations.finding_pictures import files_below
from swath.annotations.parsing import Entry, Outline, Row, checked, corners_of_wkt
from swath.annotations.source import Source
from swath.annotations.splits import SPLITS, split_of_folders
from swath.annotations.tables import load
from swath.errors import AnnotationError
from swath.files import Json

_PRE, _POST = "_pre_disaster", "_post_disaster"
_FOLDERS = SPLITS | {"tier1": "train", "tier3": "train", "hold": "val"}


class _Properties(Entry):
    subtype: str | None = None


class _Building(Entry):
    wkt: str
    properties: _Properties | None = None


def recognises(path: Path) -> bool:
    """Whether a folder holds label files of xBD."""
    return path.is_dir() and next(label_files(path), None) is not None


def rows(source: Source) -> Iterator[Row]:
    """A row a place, of two images, before and after, with a box a building.

    Classes say the damage, as "major-damage building", and "building" where no label of after
    is there, which leaves one image. The scene class is the kind of disaster. Sources' folders
    `train` and `tier3` are train, `hold` is val, `test` is test; labels lie in
    `labels/<place>_{pre,post}_disaster.json` beside `images`.
    """
    for name, before, after in label_files(source.root):
        file = after or before
        source.opens(file)
        split = split_of_folders(before, source.root, _FOLDERS)
        with source.row():
            outlines = []
            for where, building in source.entries(_Building, buildings(file), "building"):
                with source.row():
                    words = f"{_damage(building)} building".strip()
                    outlines.append(Outline(corners_of_wkt(building.wkt, where), words))
            sides = (_PRE, _POST) if after else (_PRE,)
            yield Row(
                str(file),
                [f"{name}{side}.png" for side in sides],
                outlines,
                label=_kind(before),
                split=split,
                id=f"{split}/{name}" if split else name,
            )


def label_files(folder: Path) -> Iterator[tuple[str, Path, Path | None]]:
    """Name of each place, its label before, and that after where there is one."""
    for file in sorted(files_below(folder, f"{_PRE}.json")):
        name = file.name.removesuffix(f"{_PRE}.json")
        after = file.with_name(f"{name}{_POST}.json")
        yield name, file, after if after.is_file() else None


def buildings(file: Path) -> list[Json]:
    """The buildings of a label file, in pixels.

    Raises:
        AnnotationError: it holds no list of them.
    """
    content = load(file)
    features = content.get("features") if isinstance(content, dict) else None
    entries = features.get("xy") if isinstance(features, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise AnnotationError(f"{file}: expected buildings under features.xy; is this xBD?")
    return entries


def damage(entry: Json) -> str:
    """xBD's word for the damage of a building, "" where it says none."""
    return _damage(checked(_Building, {"wkt": "", **entry}, "a building"))


def _damage(building: _Building) -> str:
    return (building.properties.subtype or "") if building.properties else ""


def _kind(file: Path) -> str | None:
    """The kind of disaster, None where the label does not say it."""
    content = load(file)
    about = content.get("metadata") if isinstance(content, dict) else None
    kind = about.get("disaster_type") if isinstance(about, dict) else None
    return kind if isinstance(kind, str) and kind else None
