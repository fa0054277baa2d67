"""Contents: what each picture's file held when a set was built of it, and whether it still does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from swath.annotations.finding_pictures import few, looked
from swath.annotations.image import AnnotatedImage, Images
from swath.errors import AnnotationError, FormatError
from swath.files import Json, read_jsonl, sha256_of, stamp_of, write_jsonl
from swath.imagery.scene import files_of

Content = tuple[int, str]
"""Bytes of a file and their SHA-256."""


def write_with_contents(path: Path, images: Images) -> int:
    """Write `images.jsonl`, each image with the content of its files; return how many there were.

    Raises:
        AnnotationError: a picture went while it was read.
    """
    return write_jsonl(path, "images", looked(_row, images, workers=4))


def refuse_changed(file: Path, pictures: Iterable[str]) -> str:
    """Refuse pictures that are no longer those a set was built from.

    Args:
        file: the set's `images.jsonl`.
        pictures: names of those that are about to be read.

    Returns:
        What could not be compared, in words; "" where all was.

    Raises:
        AnnotationError: some were replaced, changed places, or are gone.
        FormatError: the file is absent or damaged.
    """
    built_from = _contents(file)
    names = {name for picture in pictures for name in files_of(picture)}
    known = sorted(names & built_from.keys())
    with ThreadPoolExecutor(4) as pool:
        present = list(pool.map(_content, known))
    name_of = {content: name for name, content in built_from.items()}
    changes = []
    for name, content in zip(known, present, strict=True):
        if content is None:
            changes.append(f"{name} is gone")
        elif content != built_from[name]:
            twin = name_of.get(content)
            changes.append(f"{name} holds {f'what {twin} held' if twin else 'another picture'}")
    if changes:
        raise AnnotationError(
            f"{len(changes)} of {len(names)} pictures are not those that {file.parent} was built "
            f"from: {few(changes)}; put them back, or build the set and tune anew."
        )
    unknown = len(names) - len(known)
    if not unknown:
        return ""
    return (
        f"{file} says nothing of what {unknown} of {len(names)} pictures held when the set was "
        f"built, so whether they changed is not known; build it anew"
    )


def shown_otherwise(
    files: Mapping[str, Path], pictures: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Questions whose picture held something else in another run's set, each in words.

    Args:
        files: the `images.jsonl` of each run that has one, by its name.
        pictures: the picture's path of each question's id, by the run's name.

    Raises:
        FormatError: a file is damaged.
    """
    first_shown: dict[str, tuple[str, str, Content]] = {}
    changes = {}
    for run, file in files.items():
        built_from = _contents(file)
        for question, picture in pictures[run].items():
            content = built_from.get(picture)
            if content is None:
                continue
            earlier, of_earlier, shown = first_shown.setdefault(question, (run, picture, content))
            if shown != content:
                changes[question] = f"{question} ({of_earlier} in {earlier}, {picture} in {run})"
    return list(changes.values())


def _row(image: AnnotatedImage) -> Json:
    names = {name for picture in image.frames or (image.path,) for name in files_of(picture)}
    contents = []
    for name in sorted(names):
        content = _content(name)
        if content is None:
            raise AnnotationError(f"{name}: went while the set was built; put it back.")
        contents.append((name, *content))
    return image.to_row() | {"files": contents}


def _contents(file: Path) -> dict[str, Content]:
    """The content of each file when the set was built; an older swath kept none."""
    contents = {}
    for row in read_jsonl(file, "images"):
        try:
            for name, size, sha256 in row.get("files", ()):
                contents[str(name)] = (int(size), str(sha256))
        except (TypeError, ValueError):
            raise FormatError(f"{file}: image row {row.get('id', '?')}: damaged `files`.") from None
    return contents


def _content(name: str) -> Content | None:
    sha256 = sha256_of(name)
    return (stamp_of(name)[0], sha256) if sha256 else None
