"""Picture files of a data set: finding them, naming them, measuring them."""

from __future__ import annotations

import os
import re
import reprlib
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, cached_property, partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import unquote

from swath.annotations.findings import Finding
from swath.annotations.image import AnnotatedImage, Images
from swath.boxes import Size
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

UNMEASURED = (0, 0)
"""Size of an image no one has looked at yet; `measured` puts the true one in its place."""

Seen = TypeVar("Seen")
_SHOWN = 60  # signs of a refused value that an error shows
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
        endings: of names, in lower case; all files without any.
    """
    for place, folders, names in os.walk(folder, followlinks=True):
        here = Path(place)
        below = []
        for name in sorted(folders):
            inner = here / name
            back = inner.is_symlink() and inner.resolve() in map(Path.resolve, inner.parents)
            if not _is_clutter(name) and not back:
                below.append(name)
        folders[:] = below
        for name in sorted(names):
            if name.startswith("._"):  # macOS leaves them behind
                continue
            if not endings or name.lower().endswith(endings):
                yield here / name


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones and archivers' leftovers."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_clutter(path.name))


def _is_clutter(name: str) -> bool:
    return name.startswith((".", "__"))


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


def few(items: Sequence[str], at_most: int = 3) -> str:
    """The first few of a list, in words."""
    more = len(items) - at_most
    return ", ".join(items[:at_most]) + (f" and {more} more" if more > 0 else "")


def shown(value: object) -> str:
    """A value for an error, cut short, however long or deep it is."""
    return (value if isinstance(value, str) else reprlib.repr(value))[:_SHOWN]


class PictureFinder:
    """Finds the pictures that an annotation file names, inside the set's folder only.

    Names are taken as they are written, as web addresses write them (`%20`), and in either form
    that Unicode has for an accented letter; where nothing else fits, also with other case, blanks
    and marks, which `unlike` then tells.

    Args:
        root: folder of the set; nothing outside it is ever read.
        source: the annotation file, which the names are relative to unless another is given.
    """

    def __init__(self, root: Path, source: Path) -> None:
        self.root = absolute(root)
        self.source = absolute(source)
        self.unlike: list[str] = []
        self.below = str(self.root / "_")[:-1]
        self._by_name = cache(self._indexed)
        self._folders = cache(self._searched)

    def find(self, name: object, file: Path | None = None) -> Path | None:
        """The picture of that name, None where there is none.

        Args:
            file: that names it; of several pictures of a name the one that shares most folders
                with it is meant.

        Raises:
            AnnotationError: the name is no text, leads outside the folder, or fits two files.
        """
        file = absolute(file or self.source)
        alike = self.matching(name, file)
        if len(alike) > 1:
            shares = [_shared(path, file) for path in alike]
            nearest = max(shares)
            alike = [path for path, share in zip(alike, shares, strict=True) if share == nearest]
        if len(alike) > 1:
            raise AnnotationError(
                f"{file}: '{name}' may be {alike[0]} or {alike[1]}; keep one of them, or "
                f"name pictures by their path relative to {self.root}."
            )
        return alike[0] if alike else None

    def matching(self, name: object, file: Path, whole: bool = False) -> list[Path]:
        """The pictures that a name may mean.

        Args:
            file: that names it.
            whole: whether the folders in the name must be those of the picture.

        Raises:
            AnnotationError: the name is no text, or leads outside the folder.
        """
        if not isinstance(name, str) or not name.strip() or "\0" in name:
            raise AnnotationError(
                f"{file}: expected a picture's file name, got '{shown(name)}'; correct the entry."
            )
        slashed = name.strip().replace("\\", "/")
        spellings = dict.fromkeys([slashed, unquote(slashed)])
        for spelling in spellings:
            if (path := self._at(spelling, file)) is not None:
                return [path]
        for fold in (_composed, _plain):
            for spelling in spellings:
                if alike := self._folded(spelling, fold, whole):
                    if fold is _plain:
                        self.unlike.append(f"'{shown(name)}' is {alike[0].name}")
                    return alike
        return []

    def known(self, name: object, file: Path, whole: bool = True) -> list[Path]:
        """The same, none where the name is no text or leads outside the folder."""
        try:
            return self.matching(name, file, whole)
        except AnnotationError:
            return []

    @cached_property
    def pictures(self) -> list[Path]:
        """Every picture and clip in the set's folder."""
        return [path for path in files_below(self.root) if is_picture(path) or is_clip(path)]

    def _searched(self, parent: Path) -> list[str]:
        """Folders that names in a file of this folder may be relative to."""
        places = dict.fromkeys((parent, self.root))
        return [str(folder) for place in places for folder in (place, place / "images")]

    def _at(self, name: str, file: Path) -> Path | None:
        """The file at a path relative to the annotations or the set, None where there is none."""
        inside = False
        for folder in self._folders(file.parent):
            # Compared as text, not resolved: a link that the user made may lead anywhere. And no
            # Path for each place, which takes a quarter of the time that a caption set is read in.
            path = os.path.normpath(os.path.join(folder, name))  # noqa: PTH118
            if path.startswith(self.below):
                inside = True
                if os.path.isfile(path):  # noqa: PTH113
                    return Path(path)
        if not inside:
            raise AnnotationError(
                f"{file}: '{name[:200]}' lies outside {self.root}; "
                f"put the pictures beside the annotations and name them by relative paths."
            )
        return None

    def _folded(self, name: str, fold: Callable[[str], str], whole: bool) -> list[Path]:
        """The pictures of a name, in its folders if any lie there, all spelled in one way."""
        wanted = PurePosixPath(name)
        folders = [fold(part) for part in wanted.parts[:-1]]
        index = self._by_name(fold)
        alike = index.get(fold(wanted.name)) or index.get(fold(_bare(wanted.name))) or []
        if not folders:
            return alike
        inside = [path for path in alike if _parents(path, len(folders), fold) == folders]
        return inside if inside or whole else alike

    def _indexed(self, fold: Callable[[str], str]) -> dict[str, list[Path]]:
        index: dict[str, list[Path]] = defaultdict(list)
        for path in self.pictures:
            for name in {path.name, _bare(path.name)}:
                index[fold(name)].append(path)
        return index


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "_", unicodedata.normalize("NFKC", name).casefold())


def _parents(path: Path, count: int, fold: Callable[[str], str]) -> list[str]:
    """The last folders of a path."""
    return [fold(part) for part in path.parts[-count - 1 : -1]]


def _shared(path: Path, file: Path) -> int:
    """Folders that two files share, from the root."""
    return len(Path(os.path.commonpath([path.parent, file.parent])).parts)


def _bare(name: str) -> str:
    """A file's name without the suffix of a picture or clip: some annotations leave it out."""
    path = Path(name)
    return path.stem if is_picture(path) or is_clip(path) else path.name


def measured(images: Images, frames: int = 8) -> tuple[list[AnnotatedImage], list[Finding]]:
    """The images with their sizes, read from the files' headers, and what cannot be opened.

    Args:
        images: of any size; one that is not `UNMEASURED` is a claim that is checked if the
            image has boxes. Clips become frames.
        frames: how many are taken of a clip, evenly spaced.

    Raises:
        AnnotationError: the size of a file is not the one its boxes are for, or none can be opened.
    """
    sized: list[AnnotatedImage] = []
    findings: list[Finding] = []
    results = looked(partial(_framed_and_sized, frames=frames), images, workers=4)
    for image, result in zip(images, results, strict=True):
        if isinstance(result, str):
            findings.append(Finding("unreadable", image.id, result, "copy it again, or remove it"))
            continue
        if len(image.boxes) and image.size_wh not in (UNMEASURED, result.size_wh):
            raise AnnotationError(
                f"{result.path}: annotated as {_in_px(image.size_wh)}, the file has "
                f"{_in_px(result.size_wh)}, so its boxes would lie elsewhere; use the picture that "
                f"was annotated, or correct the annotation."
            )
        sized.append(result)
    if findings and not sized:
        raise unreadable(findings, len(images))
    return sized, findings


def unreadable(findings: Sequence[Finding], total: int) -> AnnotationError:
    """What to say of pictures that cannot be opened."""
    return AnnotationError(
        f"{len(findings)} of {total} images cannot be opened; copy them again, remove them, or "
        f"read with unreadable='drop': {few([finding.what for finding in findings])}"
    )


def _in_px(size_wh: Size) -> str:
    return f"{size_wh[0]} x {size_wh[1]} px"


def looked(look: Callable[[AnnotatedImage], Seen], images: Images, workers: int) -> Iterator[Seen]:
    """What `look` returns of each image, in order; threads work a batch ahead and hold no more."""

    def of_several(start: int) -> list[Seen]:
        return [look(image) for image in images[start : start + _SOME]]

    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(images), _BATCH):
            yield from chain.from_iterable(
                pool.map(of_several, range(start, min(start + _BATCH, len(images)), _SOME))
            )


def _framed_and_sized(image: AnnotatedImage, frames: int) -> AnnotatedImage | str:
    """The image with its size, a clip with its frames; or why it cannot be used."""
    try:
        if is_clip(Path(image.path)):
            names = frames_of(image.path, frames)
            image = replace(image, path=names[0], frames=tuple(names))
        size = open_scene(image.path).size_wh
        if image.frames:
            image = replace(image, frames=coregistered(image.frames))
        for path in image.frames[1:]:
            later = size if is_frame(path) else open_scene(path).size_wh
            if later != size:
                return f"{path}: has {_in_px(later)} and the first of its sequence {_in_px(size)}"
    except ImageryError as error:
        return str(error)
    return replace(image, size_wh=size)
