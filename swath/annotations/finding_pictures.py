"""Picture files of a data set: finding them, naming them, measuring them."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar

from swath.annotations.image import AnnotatedImage
from swath.annotations.notes import heard, note
from swath.errors import AnnotationError, ImageryError
from swath.imagery.opening import open_scene
from swath.imagery.scene import is_frame
from swath.imagery.series import coregistered
from swath.imagery.video import SUFFIXES as CLIP_SUFFIXES
from swath.imagery.video import frames_of

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".vrt"}
)
"""File name endings taken for pictures."""

SPLITS = {
    "train": "train",
    "training": "train",
    "restval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""Words for a split, as folders, files and fields spell them, and ours."""

_LISTS = ("splits", "list", "trainval")  # folders that lists of pictures lie in

UNMEASURED = (0, 0)
"""Size of an image no one has looked at yet; `measured` puts the true one in its place."""

Unreadable = Literal["refuse", "drop"]
Seen = TypeVar("Seen")
_BATCH, _SOME = 1024, 16  # images in flight, and images a thread takes at once


def is_picture(path: Path) -> bool:
    """Whether a file's name says that it is a picture; hidden files are none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def is_clip(path: Path) -> bool:
    """Whether a file's name says that it is a video."""
    return path.suffix.lower() in CLIP_SUFFIXES and not path.name.startswith(".")


def pictures_below(folder: Path) -> list[Path]:
    """Every picture in a folder and in the folders in it, sorted."""
    return sorted(path for path in files_below(folder) if is_picture(path))


def files_below(folder: Path, *endings: str) -> Iterator[Path]:
    """Every file in a folder and in the folders in it; a link back to a folder above is not taken.

    Hidden folders and archivers' leftovers are passed over.

    Args:
        folder: where to look.
        endings: of names, in lower case; all files without any.
    """
    for here, folders, names in os.walk(folder, followlinks=True):
        above = {one.resolve() for one in (Path(here), *Path(here).parents)}
        folders[:] = sorted(
            name
            for name in folders
            if not _is_clutter(name)
            and not ((link := Path(here, name)).is_symlink() and link.resolve() in above)
        )
        visible = [name for name in names if not name.startswith("._")]  # macOS leaves them behind
        wanted = [name for name in visible if not endings or name.lower().endswith(endings)]
        yield from (Path(here, name) for name in sorted(wanted))


def read_text(file: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 where its first bytes say so.

    Raises:
        AnnotationError: it is in another encoding, which nothing in it names, or cannot be read.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{file}: cannot be read ({error.strerror}).") from None
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{file}: not UTF-8 (byte {error.start} is 0x{content[error.start]:02x}), so its words "
            f"would be garbled; save it as UTF-8."
        ) from None
    if "\0" in text:
        raise AnnotationError(f"{file}: holds zero bytes, so it is no text in UTF-8; save it so.")
    return text


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones and archivers' leftovers."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_clutter(path.name))


def absolute(path: Path) -> Path:
    """The path from the root of the file system, without `..`; links are left as they are."""
    return Path(os.path.normpath(path.absolute()))


def image_id(path: Path, root: Path) -> str:
    """The path relative to the set's folder, without suffix, with forward slashes."""
    inside = str(path).removeprefix(f"{root}{os.sep}")
    if inside == str(path):
        return path.relative_to(root).with_suffix("").as_posix()
    folder, slash, name = inside.replace(os.sep, "/").rpartition("/")
    dot = name.rfind(".")
    return folder + slash + (name[:dot] if 0 < dot < len(name) - 1 else name)


def refuse_repeats(images: Sequence[AnnotatedImage], where: Path) -> None:
    """Check that each image has an id of its own.

    Raises:
        AnnotationError: two share one.
    """
    paths: dict[str, str] = {}
    for image in images:
        if image.id in paths:
            raise AnnotationError(
                f"{where}: two images of the id '{image.id}' ({paths[image.id]} and {image.path}); "
                f"an image may be listed once: remove or rename one of them."
            )
        paths[image.id] = image.path


def measured(
    images: Sequence[AnnotatedImage], unreadable: Unreadable = "refuse", frames: int = 8
) -> list[AnnotatedImage]:
    """The images with their sizes, read from the files' headers; clips become frames.

    Args:
        images: of any size; one that is not `UNMEASURED` is a claim that is checked if the
            image has boxes. A path may be a clip's.
        unreadable: "refuse" raises on a file that cannot be opened, "drop" leaves it out; where
            notes are heard, either leaves it out and notes it, and all together raise.
        frames: how many are taken of a clip, evenly spaced.

    Raises:
        AnnotationError: a file cannot be opened, its size is not the one its boxes are for, or
            the images of a sequence differ in size.
    """
    kept: list[AnnotatedImage] = []
    failed: list[tuple[str, str]] = []
    looks = looked(partial(_framed_and_size, frames=frames), images, workers=4)
    for given, look in zip(images, looks, strict=True):
        if isinstance(look, str):
            failed.append((given.id, look))
            continue
        image, size = look
        if len(image.boxes) and image.size_wh not in (UNMEASURED, size):
            raise AnnotationError(
                f"{image.path}: annotated as {image.size_wh[0]} x {image.size_wh[1]} px, the "
                f"file has {size[0]} x {size[1]} px, so its boxes would lie elsewhere; use the "
                f"picture that was annotated, or correct the annotation."
            )
        kept.append(replace(image, size_wh=size))
    if heard() and len(failed) < len(images):
        for where, why in failed:
            note("unreadable", where, why, action="copy it again, or remove it")
    elif failed and (unreadable == "refuse" or heard()):
        raise AnnotationError(
            f"{len(failed)} of {len(images)} images cannot be opened; copy them again, remove "
            f"them, or read with unreadable='drop': {few([why for _, why in failed])}"
        )
    return kept


def looked(
    look: Callable[[AnnotatedImage], Seen], images: Sequence[AnnotatedImage], workers: int
) -> Iterator[Seen]:
    """What `look` returns of each image, in order; threads work a batch ahead and hold no more."""

    def some(start: int) -> list[Seen]:
        return [look(image) for image in images[start : start + _SOME]]

    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(images), _BATCH):
            yield from chain.from_iterable(
                pool.map(some, range(start, min(start + _BATCH, len(images)), _SOME))
            )


def few(items: Sequence[str], at_most: int = 3) -> str:
    """The first few of a list, in words."""
    rest = len(items) - at_most
    return ", ".join(items[:at_most]) + (f" and {rest} more" if rest > 0 else "")


class PictureFinder:
    """Finds the pictures that an annotation file names, inside the set's folder only.

    Args:
        root: folder of the set; nothing outside it is ever read.
        source: the annotation file, tried first as the place names are relative to.
    """

    def __init__(self, root: Path, source: Path) -> None:
        self.root = absolute(root)
        self.source = absolute(source)
        self.missing: list[str] = []
        self._below = str(self.root / "_")[:-1]
        self._namers: dict[str, str] = {}
        places = [self.source.parent, self.root, self.source.parent / "images"]
        self._places = [*dict.fromkeys([*places, self.root / "images"])]

    def find(self, name: object, near: Path | None = None) -> Path | None:
        """The file of that name; None, and noted in `missing`, where there is none.

        Args:
            name: as the annotations write it.
            near: the file that names it where each picture has one; of several pictures of a name
                the one that shares most folders with it is meant.

        Raises:
            AnnotationError: the name is no text, leads outside the folder, or fits two files.
        """
        if not isinstance(name, str) or not name.strip() or "\0" in name:
            raise AnnotationError(
                f"{self.source}: expected a picture's file name, got {name!r}; correct the entry."
            )
        inside, near = False, near and absolute(near)
        for place in self._places if near is None else [near.parent, near.parent / "images"]:
            # Compared as text, not resolved: a link that the user made may lead anywhere.
            path = os.path.normpath(place / name.replace("\\", "/"))
            if path.startswith(self._below):
                inside = True
                if (found := Path(path)).is_file():
                    return found
        if not inside:
            raise AnnotationError(
                f"{self.source}: '{name}' lies outside {self.root}; "
                f"put the pictures beside the annotations and name them by relative paths."
            )
        wanted = Path(name.replace("\\", "/"))
        alike = self._by_name.get(wanted.name) or self._by_name.get(_bare(wanted.name)) or []
        ends = [one for one in alike if one.parts[-len(wanted.parts) : -1] == wanted.parts[:-1]]
        alike = ends or alike
        if near is not None and len(alike) > 1:
            shared = [_shared(one, near) for one in alike]
            alike = [one for one, count in zip(alike, shared, strict=True) if count == max(shared)]
        if len(alike) > 1:
            raise AnnotationError(
                f"{self.source}: '{name}' may be {alike[0]} or {alike[1]}; keep one of them, or "
                f"name pictures by their path relative to {self.root}."
            )
        if alike:
            return alike[0]
        self.lose(name, near)
        return None

    def lose(self, name: str, near: Path | None = None) -> None:
        """Note a picture as missing."""
        self.missing.append(name)
        self._namers[name] = (near or self.source).name

    def refuse_missing(self, total: int) -> None:
        """Check that the pictures looked for were found; note each that was not.

        Raises:
            AnnotationError: none was, or some were not and nobody hears notes.
        """
        if heard() and len(self.missing) < total:
            for name, rows in Counter(self.missing).items():
                by = f"{rows} row{'s' * (rows > 1)} of {self._namers[name]}"
                what = f"named by {by}, and not in {self.root}"
                note("missing picture", name, what, "", rows, "put it there, or remove the rows")
        elif self.missing:
            raise AnnotationError(
                f"{self.source}: {len(self.missing)} of {total} pictures are not in {self.root}: "
                f"{few(self.missing)}; put them beside the file or in a folder 'images' there."
            )

    @cached_property
    def pictures(self) -> list[Path]:
        """Every picture and clip in the set's folder."""
        return [path for path in files_below(self.root) if is_picture(path) or is_clip(path)]

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = defaultdict(list)
        for path in self.pictures:
            for name in {path.name, _bare(path.name)}:
                found[name].append(path)
        return found


def _shared(one: Path, other: Path) -> int:
    """Folders that two files share, from the root."""
    pairs = zip(one.parent.parts, other.parent.parts, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), len(other.parent.parts))


def _bare(name: str) -> str:
    """A file's name without the suffix of a picture or clip: some annotations leave it out."""
    path = Path(name.strip())
    return path.stem if is_picture(path) or is_clip(path) else path.name


def official_splits(root: Path) -> Callable[[Path], str | None]:
    """A function giving the split that lists like `splits/test.txt` put a picture in, or None.

    Lists lie in a folder `splits` in `root` or beside it, in `list` (change detection sets),
    `trainval` (SAMRS) or VOC's `ImageSets/Main`, where `trainval.txt` is train if there is neither
    of the two. They hold one picture a line: its path relative to the folder holding `splits` or
    to `root`, or its name alone; a suffix may be left out.

    Raises:
        AnnotationError: a picture is in two lists.
    """
    listed: dict[str, str] = {}
    bases = [root, *([root.parent] if root.name == "images" else [])]
    for path, split in _split_files(bases):
        for line in read_text(path).splitlines():
            name = line.strip().replace("\\", "/").removeprefix("./")
            if name and listed.setdefault(_without_suffix(name), split) != split:
                raise AnnotationError(
                    f"{path}: '{name}' is in the {listed[_without_suffix(name)]} list too; "
                    f"leave each picture in one list."
                )

    def split_of(picture: Path) -> str | None:
        if not listed:
            return None
        names = [image_id(picture, base) for base in bases if picture.is_relative_to(base)]
        return next((listed[name] for name in [*names, picture.stem] if name in listed), None)

    return split_of


def _split_files(bases: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    for base in bases:
        for folder in (
            base / "splits",
            base / "list",
            base / "ImageSets" / "Main",
            base / "trainval",
        ):
            paths = {path.stem.lower(): path for path in sorted(folder.glob("*.txt"))}
            if "trainval" in paths and not {"train", "val"} & paths.keys():
                paths["train"] = paths["trainval"]
            yield from ((path, SPLITS[name]) for name, path in paths.items() if name in SPLITS)


def _without_suffix(name: str) -> str:
    path = Path(name)
    return str(path.with_suffix("").as_posix() if path.suffix.lower() in SUFFIXES else name)


def _framed_and_size(
    image: AnnotatedImage, frames: int
) -> tuple[AnnotatedImage, tuple[int, int]] | str:
    """The image, a clip given its frames, and its size; or why it cannot be used."""
    try:
        if is_clip(Path(image.path)):
            names = frames_of(image.path, frames)
            image = replace(image, path=names[0], frames=tuple(names))
        size = open_scene(image.path).size_wh
        if image.frames:
            image = replace(image, frames=coregistered(image.frames))
        for path in image.frames[1:]:
            if not is_frame(path) and (other := open_scene(path).size_wh) != size:
                return (
                    f"{path}: has {other[0]} x {other[1]} px and the first image of its sequence "
                    f"{size[0]} x {size[1]} px"
                )
    except ImageryError as error:
        return str(error)
    return image, size


def _is_clutter(name: str) -> bool:
    return name.startswith((".", "__"))
