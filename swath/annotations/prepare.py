"""From a recipe to split images: read or draw, rename classes, limit, split, cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from swath.annotations.cutting import cut
from swath.annotations.drawn import LICENCE, SOURCE, draw_set
from swath.annotations.findings import Finding
from swath.annotations.footprints import TOUCHING, footprint, overlapping
from swath.annotations.image import AnnotatedImage, Images
from swath.annotations.licences import licence_of
from swath.annotations.parsing import some_objects
from swath.annotations.readers import read_sound
from swath.annotations.splits import complete_splits, limit_per_class, split_images
from swath.errors import AnnotationError, RecipeError
from swath.imagery.synthetic import SCENE_KINDS
from swath.imagery.terrain.geotiff import draw_places
from swath.imagery.terrain.place import CLASSES
from swath.recipe import Annotations, Drawn


@dataclass(frozen=True)
class Gathered:
    """Images of a recipe.

    Args:
        images: each with a split.
        notes: what was renamed, left out or split, for the card.
        found: what the readers left out or chose.
        dealt: splits between which images may be moved, since swath dealt them, not the source.
        given: ids of the images that stay all the same, as their source dealt them.
    """

    images: tuple[AnnotatedImage, ...]
    notes: dict[str, object]
    found: tuple[Finding, ...] = ()
    dealt: tuple[str, ...] = ()
    given: frozenset[str] = frozenset()


def gather(
    section: Annotations,
    seed: int,
    drawings: Path,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
    frames: int = 8,
) -> Gathered:
    """The images that the recipe's `annotations` ask for, split.

    Args:
        progress: called with images drawn and asked for.
        frames: how many are taken of a clip.

    Raises:
        RecipeError: neither or both of `source` and `drawn` are given.
        AnnotationError: nothing usable is there.
    """
    if bool(section.source) == (section.drawn is not None):
        raise RecipeError(
            "annotations: name either `source` (your folder) or `drawn` (scenes drawn by swath); "
            "for example annotations.source=path/to/images."
        )
    found: list[Finding] = []
    if section.drawn is not None:
        parts = [_drawn(section.drawn, seed, drawings, progress, workers)]
    else:
        given = [section.source] if isinstance(section.source, str) else section.source or []
        sources = [Path(source) for source in given]
        readings = [
            read_sound(source, section.format, frames, drawings, section.class_field)
            for source in sources
        ]
        found = [finding for reading in readings for finding in reading.findings]
        parts = _told_apart([reading.images for reading in readings], sources)
        parts = _licensed(parts, sources, section.licence)
    part_of = {image.id: number for number, part in enumerate(parts) for image in part}
    images = [image for part in parts for image in part]
    images, renamed = _renamed(images, section.classes)
    images = _without_partial(images, section.partial)
    if section.limit and len(images) > section.limit:
        every = len(images) / section.limit
        images = [images[int(place * every)] for place in range(section.limit)]
    if section.limit_per_class:
        images = limit_per_class(images, section.limit_per_class, seed)
    whole, place = len(images), section.split_by == "place"
    if section.tile_px and place:  # tiles of one scene go to the blocks they lie in
        images = _cut(images, section, part_of)
        images = [replace(image, scene=image.id) for image in images]
    images, origin, dealt, stay = _split(images, section, seed, part_of)
    notes: dict[str, object] = {"split_from": origin}
    if place and origin != "the source":
        images, notes["left_out_at_borders"] = _clear_borders(images)
    if renamed:
        notes["classes_changed"] = renamed
    if section.tile_px:
        images = images if place else _cut(images, section, part_of)
        notes["cut"] = {"images": whole, "tiles": len(images)}
    return Gathered(tuple(images), notes, tuple(found), () if place else dealt, stay)


def _drawn(
    drawn: Drawn,
    seed: int,
    folder: Path,
    progress: Callable[[int, int], None] | None,
    workers: int,
) -> list[AnnotatedImage]:
    """Scenes of the asked kinds, or whole places."""
    if drawn.places:
        return [
            AnnotatedImage(
                id=path.stem,
                path=str(path),
                size_wh=place.size_wh,
                boxes=place.boxes,
                names=place.names,
                source=SOURCE,
                licence=LICENCE,
                listed=CLASSES,
            )
            for path, place in draw_places(folder, drawn.count, seed, drawn.size_px, progress)
        ]
    kinds = sorted(SCENE_KINDS.get(drawn.kinds))
    return draw_set(
        folder,
        kinds,
        drawn.count,
        seed,
        drawn.size_px,
        workers,
        progress,
        ".jpg",
        drawn.frames,
        drawn.change,
    )


def _told_apart(
    parts: list[list[AnnotatedImage]], sources: Sequence[Path]
) -> list[list[AnnotatedImage]]:
    """The images of several sources, its source's name before each id if two would be the same."""
    ids = Counter(image.id for part in parts for image in part)
    if len(ids) == ids.total():
        return parts
    names = [source.absolute().name for source in sources]
    if len(set(names)) < len(names):
        names = [f"{number}-{name}" for number, name in enumerate(names, 1)]
    return [
        [replace(image, id=f"{name}/{image.id}", scene=f"{name}/{image.scene}") for image in part]
        for name, part in zip(names, parts, strict=True)
    ]


def _licensed(
    parts: list[list[AnnotatedImage]],
    sources: Sequence[Path],
    given: str | dict[str, str] | None,
) -> list[list[AnnotatedImage]]:
    """The images with the licence that the annotations, the recipe or the source's files state."""
    known = {image.source for part in parts for image in part}
    if isinstance(given, dict) and (unknown := sorted(set(given) - known)):
        raise AnnotationError(
            f"annotations.licence: there is no source '{unknown[0]}'; the sources are called "
            f"{', '.join(sorted(known))}."
        )
    granted = given if isinstance(given, dict) else dict.fromkeys(known, given)
    licensed = []
    for part, source in zip(parts, sources, strict=True):
        stated = licence_of(source)
        images = []
        for image in part:
            licence = image.licence or granted.get(image.source) or stated
            images.append(replace(image, licence=licence))
        licensed.append(images)
    return licensed


def _cut(images: Images, section: Annotations, part_of: dict[str, int]) -> list[AnnotatedImage]:
    """The images as tiles, each entered in `part_of` as of its image's source."""
    done: list[AnnotatedImage] = []
    unlists = section.cut_off == "unlisted"
    for image in images:
        tile_px = section.tile_px or 0
        parts = [*cut([image], tile_px, section.overlap_px, section.visible, unlists)]
        part_of.update((part.id, part_of[image.id]) for part in parts)
        done += parts
    return done


def _clear_borders(images: list[AnnotatedImage]) -> tuple[list[AnnotatedImage], int]:
    """The images without those that share ground with a split that is more for testing."""
    rank = {"train": 0, "val": 1, "test": 2}
    outlines = [footprint(image.path) for image in images]
    gone: set[int] = set()
    for pair in overlapping(outlines, TOUCHING):
        one, other = sorted(pair[:2], key=lambda row: rank[str(images[row].split)])
        if images[one].split != images[other].split and other not in gone:
            gone.add(one)
    return [image for row, image in enumerate(images) if row not in gone], len(gone)


def _split(
    images: list[AnnotatedImage], section: Annotations, seed: int, part_of: dict[str, int]
) -> tuple[list[AnnotatedImage], str, tuple[str, ...], frozenset[str]]:
    """The images with a split each, where it is from, the splits dealt here, and ids that stay.

    A source that brings a split keeps it beside one whose images are dealt by the seed.
    """
    shares = {name: share for name, share in section.split.items() if share > 0}
    by, block_m = section.split_by, section.block_m
    how = "" if by == "scene" else f", {by} by {by}"
    if not section.keep_given_split:
        images = [replace(image, split=None) for image in images]
    if all(image.split is None for image in images):
        dealt_now = split_images(images, shares, seed, by, block_m)
        return dealt_now, f"drawn by seed {seed}{how}", tuple(shares), frozenset()
    split_of: dict[str, str | None] = {}
    dealt = ""
    for number in sorted(set(part_of.values())):
        part = [image for image in images if part_of[image.id] == number]
        without = sum(image.split is None for image in part)
        if 0 < without < len(part):
            raise AnnotationError(
                f"{without} of {len(part)} images are in no split of the source; add them, or "
                f"split anew with annotations.keep_given_split=false."
            )
        if without:
            part = split_images(part, shares, seed, by, block_m)
            dealt = f"; others drawn by seed {seed}{how}"
        split_of.update((image.id, image.split) for image in part)
    with_split = frozenset(image.id for image in images if image.split is not None)
    images = [replace(image, split=split_of[image.id]) for image in images]
    names = set(split_of.values())
    if "train" not in names:
        raise AnnotationError(
            f"the source has only {' and '.join(sorted(map(str, names)))} images, none to train "
            f"on; split anew with annotations.keep_given_split=false."
        )
    missing, whole = [name for name in shares if name not in names], sum(shares.values())
    for name in missing:
        images = complete_splits(images, shares[name] / whole, seed, name, by, block_m)
    if missing:
        dealt += f"; {' and '.join(missing)} carved from its train"
        return list(images), f"the source{dealt}", ("train", *missing), frozenset()
    return list(images), f"the source{dealt}", tuple(shares) if dealt else (), with_split


def _without_partial(images: Images, partial: Sequence[str]) -> list[AnnotatedImage]:
    """The images, none of which says it lists every object of these classes."""
    unknown = set(partial).difference(*(image.listed for image in images))
    if unknown:
        raise AnnotationError(
            f"annotations.partial: no source lists the class '{min(unknown)}'; remove it or "
            f"correct it."
        )
    if not partial:
        return list(images)
    return [
        replace(image, listed=tuple(name for name in image.listed if name not in partial))
        for image in images
    ]


def _renamed(
    images: Images, classes: dict[str, str | None]
) -> tuple[list[AnnotatedImage], dict[str, int]]:
    """Images with classes renamed or left out, and how many images or boxes each rule touched."""
    if not classes:
        return list(images), {}
    touched: Counter[str] = Counter()
    kept = []
    for image in images:
        if image.label in classes:
            touched[image.label] += 1
            if classes[image.label] is None:
                continue
        rows = [row for row, name in enumerate(image.names) if classes.get(name, name) is not None]
        touched.update(name for name in image.names if name in classes)
        label = classes.get(image.label, image.label) if image.label else None
        names = tuple(str(classes.get(image.names[row], image.names[row])) for row in rows)
        to = {classes.get(name, name) for name in image.listed}
        listed = tuple(sorted(name for name in to if name is not None))
        kept.append(some_objects(image, rows, label=label, names=names, listed=listed))
    for name in classes:
        if not touched[name]:
            raise AnnotationError(
                f"annotations.classes: there is no class '{name}' in the source; "
                f"remove the line or correct it."
            )
    return kept, dict(touched)
