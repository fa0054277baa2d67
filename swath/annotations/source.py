"""`Source`: a folder or file of annotations while it is read, from a format's rows to images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from swath.annotations.finding_pictures import (
    PictureFinder,
    absolute,
    few,
    image_id,
    is_clip,
    pictures_below,
    shown,
)
from swath.annotations.findings import Finding
from swath.annotations.image import AnnotatedImage, Images, whole_lists
from swath.annotations.parsing import Outline, Row, SomeEntry, checked, objects, outlines_of
from swath.annotations.splits import listed_splits
from swath.annotations.tables import root_of
from swath.boxes import Size
from swath.errors import AnnotationError, ImageryError, ShapeError
from swath.imagery.opening import open_scene
from swath.imagery.video import frames_of

Value = TypeVar("Value")
_MASKS = {"masks", "mask", "gray", "color", "label", "labels", "targets", "out", "ann_dir"}
_MASKS |= {"masks_png", "segmentationclass", "segmentationobject"}
"""Folders of pictures that annotate others."""


class Source:
    """What one format reads, and what comes to light on the way.

    Args:
        path: the set's folder, or an annotation file in it.
        unpacked: folder that pictures held in rows (data URLs) are written to, None for nowhere.
        class_field: property of features that holds their class, "" to look for it.
    """

    def __init__(self, path: Path, unpacked: Path | None = None, class_field: str = "") -> None:
        self.path = absolute(path)
        self.root = root_of(self.path)
        self.unpacked = unpacked
        self.class_field = class_field
        self.file = self.path
        self.files: set[Path] = set()
        self.finder = PictureFinder(self.root, self.path)
        self.findings: list[Finding] = []
        self._file_of: dict[str, Path] = {}  # that each image is of, by its id
        self._partial: set[str] = set()  # images of which an object was left out
        self._refused: dict[Path, list[str]] = defaultdict(list)
        self._missing: Counter[tuple[Path, str]] = Counter()
        self._named = 0

    def opens(self, file: Path) -> None:
        """Begin with a file: the rows that follow are its, and name pictures relative to it."""
        self.file = file
        self.files.add(absolute(file))

    def note(
        self,
        kind: str,
        what: str,
        effect: str = "left out",
        count: int = 1,
        action: str = "see that it is meant so",
        where: object = None,
    ) -> None:
        """Say what is left out, or read otherwise than one may expect, and what becomes of it."""
        self.findings.append(Finding(kind, str(where or self.file), what, action, count, effect))

    def count(
        self,
        kind: str,
        count: int,
        words: str,
        effect: str = "left out",
        where: object = None,
    ) -> None:
        """Say of how many things so, if there are any."""
        if count:
            self.note(kind, f"{count} {words}", effect, count, where=where)

    def refuse(self, error: AnnotationError) -> None:
        """Leave a row out for what is wrong with it."""
        self._refused[self.file].append(str(error))

    @contextmanager
    def row(self) -> Iterator[None]:
        """A block about one row, which is left out if the block finds something wrong with it."""
        try:
            yield
        except AnnotationError as error:
            self.refuse(error)

    def entries(
        self, kind: type[SomeEntry], values: Iterable[object], name: str = "entry"
    ) -> Iterator[tuple[str, SomeEntry]]:
        """Where each entry of a list in the file stands, and the entry, if it is of a kind."""
        for number, value in enumerate(values):
            own = f" (id {shown(value['id'])})" if isinstance(value, dict) and "id" in value else ""
            where = f"{self.file}: {name}[{number}]{own}"
            with self.row():
                yield where, checked(kind, value, where)

    def images(self, rows: Iterable[Row]) -> list[AnnotatedImage]:
        """The images that rows speak of, in the order in which they come up.

        Raises:
            AnnotationError: two rows are of one picture although the format has one for each, or
                a picture is in two lists of splits.
        """
        split_of, findings = listed_splits(self.finder)
        self.findings += findings
        images: dict[str, AnnotatedImage] = {}
        names, file, paths = None, None, list[Path]()
        for row in rows:
            with self.row():
                if self.file is not file or row.pictures != names:  # many in turn are about one
                    paths = self._found(row)
                    file, names = self.file, row.pictures
                if not paths:
                    continue
                listed = split_of.get(paths[0]) if split_of else None
                image = self._image(row, paths, listed)
                if row.beside and image.id not in images:
                    self._missing[self.file, str(row.pictures[0])] += 1
                    continue
                before = images.setdefault(image.id, image)
                if before is not image and row.joins:
                    images[image.id] = joined(before, image, row.where)
                elif before is not image:
                    raise AnnotationError(
                        f"{self.path}: two images of the id '{image.id}' ({before.path} and "
                        f"{image.path}); an image may be listed once: remove or rename one of them."
                    )
                self._file_of[image.id] = self.file
                if row.partial:
                    self._partial.add(image.id)
        return list(images.values())

    def settle(self, images: Images, strict: bool) -> None:
        """Say what rows and pictures were left out.

        Args:
            strict: to raise whatever was left out, which is done in any case if nothing is left.

        Raises:
            AnnotationError: see there.
        """
        strict_rows = strict or not any(map(_says_something, images))
        for file, reasons in self._refused.items():
            count = len(reasons)
            if strict_rows:
                more = f" (and {count - 1} more rows)" if count > 1 else ""
                raise AnnotationError(f"{reasons[0]}{more}")
            what = f"{count} of its rows are wrong: {few(reasons)}"
            self.note("bad row", what, "left out", count, "correct them", file)
        lost = self._missing.total()
        if lost and (strict or lost >= self._named):
            names = few([shown(name) for _, name in self._missing])
            raise AnnotationError(
                f"{self.path}: {lost} of {self._named} pictures are not in {self.root}: {names}; "
                f"put them beside the annotations or in a folder 'images' there."
            )
        for (file, name), count in self._missing.items():
            what = f"named by {count} row{'s' * (count > 1)} of {file.name}, not in {self.root}"
            action = "put it there, or remove the rows"
            self.note("missing picture", what, "", count, action, name[:300])
        unlike = self.finder.unlike
        if unlike:
            what = f"{len(unlike)} names differ from their files' in case, blanks or marks"
            effect = "taken for them"
            self.note("spelling of a name", f"{what}: {few(unlike)}", effect, len(unlike))

    def with_lists(self, images: Images) -> list[AnnotatedImage]:
        """The images, each with the classes of which all objects are known to have a box."""
        # Boxes with phrases are what those phrases are about, not all there is.
        if any(phrase for image in images for phrase in image.phrases):
            return list(images)
        for name, file in self._file_of.items():
            if file in self._refused:  # the row that was left out may be of it
                self._partial.add(name)
        return [
            replace(image, listed=()) if image.id in self._partial else image
            for image in whole_lists(images)
        ]

    def note_unread(self, files: Iterable[Path], reader: str) -> None:
        """Say which of some files the format does not read."""
        unread = [file.name for file in files if absolute(file) not in self.files]
        if unread:
            what = f"{few(unread)}: '{reader}' does not read {'them' if len(unread) > 1 else 'it'}"
            effect = "left out; it may be a source of its own"
            self.note("file not read", what, effect, len(unread), where=self.path)

    def note_bare(self, images: Images) -> None:
        """Say which pictures in the folder no annotation is about."""
        shown = {frame for image in images for frame in image.frames or (image.path,)}
        bare = [
            path.name
            for path in pictures_below(self.root)
            if str(path) not in shown and path.parent.name.lower() not in _MASKS
        ]
        if bare:
            what = f"no annotation is about {len(bare)} pictures: {few(bare)}"
            self.note("not annotated", what, count=len(bare), where=self.path)

    def _found(self, row: Row) -> list[Path]:
        """The pictures of a row, none where one of them is missing."""
        paths: list[Path] = []
        for name in row.pictures:
            path = name if isinstance(name, Path) else self.finder.find(name, self.file)
            self._named += 1
            again = path in paths and row.pictures.count(name) == 1
            if path is None or again:  # a picture found again bears the name of another date's
                self._missing[self.file, str(name)] += 1
            else:
                paths.append(path)
        return paths if len(paths) == len(row.pictures) else []

    def _image(self, row: Row, paths: Sequence[Path], listed: str | None) -> AnnotatedImage:
        picture = paths[0]
        inside = str(picture).startswith(self.finder.below)
        outlines = row.outlines
        try:
            if callable(outlines):
                outlines = outlines(_size(picture))
            fields = objects(outlines)
        except ImageryError:  # said when the images are measured
            fields = {}
        except ShapeError as error:
            raise AnnotationError(f"{row.where}: {error}") from None
        return AnnotatedImage(
            id=row.id or image_id(picture, self.root if inside else picture.parent),
            path=str(picture),
            size_wh=row.size_wh,
            label=row.label(picture) if callable(row.label) else row.label,
            captions=tuple(row.captions),
            questions=tuple(row.questions),
            split=row.split or listed or row.other_split,
            scene=row.scene,
            source=self.root.parent.name if self.root.name == "images" else self.root.name,
            licence=row.licence,
            frames=tuple(map(str, paths)) if len(paths) > 1 else (),
            faults=tuple(row.faults),
            dialogues=tuple(row.dialogues),
            gsd_m=row.gsd_m,
            sensor=row.sensor,
            **fields,
        )


def _says_something(image: AnnotatedImage) -> bool:
    words = image.label or image.captions or image.questions or image.dialogues
    return bool(words or len(image.boxes))


def _size(picture: Path) -> Size:
    path = frames_of(str(picture), 1)[0] if is_clip(picture) else picture
    return open_scene(path).size_wh


def joined(before: AnnotatedImage, image: AnnotatedImage, where: str) -> AnnotatedImage:
    """What two rows say of one picture; an object that both speak of is one.

    Raises:
        AnnotationError: they contradict each other.
    """
    for key in ("path", "label", "split", "frames"):
        first, second = getattr(before, key), getattr(image, key)
        if first and second and first != second:
            raise AnnotationError(
                f"{where}: {image.id} has {key} {second!r} here and {first!r} before; "
                f"correct one of them."
            )
    outlines: dict[tuple[object, ...], Outline] = {}
    for outline in (*outlines_of(before), *outlines_of(image)):
        corners, *words = outline
        outlines[(np.asarray(corners).tobytes(), *words)] = outline
    return replace(
        before,
        label=before.label or image.label,
        split=before.split or image.split,
        captions=_added(before.captions, image.captions),
        questions=_added(before.questions, image.questions),
        faults=(*before.faults, *image.faults),
        dialogues=_added(before.dialogues, image.dialogues),
        **objects([*outlines.values()]),
    )


def _added(before: tuple[Value, ...], values: tuple[Value, ...]) -> tuple[Value, ...]:
    """What was said before, and what is new of it."""
    return before + tuple(value for value in values if value not in before)
