"""Class folders: a picture's scene class is the name of the folder it lies in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from swath.annotations.finding_pictures import (
    absolute,
    files_below,
    is_clip,
    is_picture,
    subfolders,
)
from swath.annotations.formats.rsivqa import texts
from swath.annotations.parsing import Row
from swath.annotations.source import Source
from swath.annotations.splits import SPLITS

# Folders of change pairs, detection and segmentation sets, which say nothing about a scene.
_NO_CLASS = {"a", "b", "annotations", "images", "img", "imgs", "jpegimages"}
_NO_CLASS |= {"label", "labels", "labeltxt", "mask", "masks", "splits", "videos"}


def recognises(path: Path) -> bool:
    """Whether a folder holds class folders, by itself, in `images` or in split folders.

    Folders with RSIVQA's text in them are the sets it is made of, not classes.
    """
    if not path.is_dir() or next(_classes(path), None) is None:
        return False
    return all(file.parent == absolute(path) for file in texts(path))


def rows(source: Source) -> Iterator[Row]:
    """A row a picture or clip, labelled with its class folder's name.

    Understands `ROOT/<class>/...`, `ROOT/images/<class>/...`, `ROOT/<split>/<class>/...` and a
    single folder around any of these. Lists like `ROOT/splits/test.txt` set the split.
    """
    for folder, split in _classes(source.root):
        for picture in filter(_shows, files_below(folder)):
            yield Row(str(picture), (picture,), label=folder.name, split=split)


def _classes(root: Path) -> Iterator[tuple[Path, str | None]]:
    """Class folders and the split they lie in, if any."""
    folders = subfolders(root)
    splits = [folder for folder in folders if folder.name.lower() in SPLITS]
    images = [folder for folder in folders if folder.name.lower() == "images"]
    if splits:
        for folder in splits:
            for inner, _ in _classes(folder):
                yield inner, SPLITS[folder.name.lower()]
    elif images and not any(map(is_picture, images[0].iterdir())):
        yield from _classes(images[0])
    elif len(folders) == 1 and not any(map(is_picture, folders[0].iterdir())):
        yield from _classes(folders[0])
    else:
        full = [folder for folder in folders if any(map(_shows, _files_below(folder)))]
        if not all(folder.name.lower() in _NO_CLASS for folder in full):
            yield from ((folder, None) for folder in full)


def _shows(path: Path) -> bool:
    return is_picture(path) or is_clip(path)


def _files_below(folder: Path) -> Iterator[Path]:
    """Files of a folder and of the folders in it, nearest first, as they come."""
    inner = []
    for path in folder.iterdir():
        if path.is_dir():
            inner.append(path)
        else:
            yield path
    for path in inner:
        yield from _files_below(path)
