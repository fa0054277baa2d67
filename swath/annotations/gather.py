"""From a recipe to split images: read or draw, rename classes, limit, split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from swath.annotations.drawn import draw_set
from swath.annotations.image import AnnotatedImage
from swath.annotations.readers import read
from swath.annotations.splits import complete_splits, limit_per_class, split_by_scene
from swath.errors import AnnotationError, RecipeError
from swath.imagery.synthetic import BASE_KINDS, QUICKSTART_KINDS
from swath.recipe import Annotations

KINDS = {"base": BASE_KINDS, "quickstart": QUICKSTART_KINDS}


@dataclass(frozen=True)
class Gathered:
    """Images of a recipe.

    Args:
        images: each with a split.
        notes: what was renamed, left out or split, for the card.
    """

    images: tuple[AnnotatedImage, ...]
    notes: dict[str, object]


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
        section: the recipe's `annotations`.
        seed: of drawing and splitting.
        drawings: folder for drawn scenes.
        progress: called with images drawn and asked for.
        workers: processes that draw.
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
    if section.drawn is not None:
        drawn = section.drawn
        parts = [
            draw_set(
                drawings,
                KINDS[drawn.kinds],
                drawn.count,
                seed,
                drawn.size_px,
                workers,
                progress,
                ".jpg",
                drawn.frames,
            )
        ]
    else:
        given = [section.source] if isinstance(section.source, str) else section.source or []
        sources = [Path(source) for source in given]
        parts = [read(one, section.format, section.unreadable, frames) for one in sources]
        parts = _told_apart(parts, sources)
    part_of = {image.id: number for number, part in enumerate(parts) for image in part}
    images = [image for part in parts for image in part]
    images, renamed = _renamed(images, section.classes)
    if section.limit and len(images) > section.limit:
        every = len(images) / section.limit
        images = [images[int(place * every)] for place in range(section.limit)]
    if section.limit_per_class:
        images = limit_per_class(images, section.limit_per_class, seed)
    images, origin = _split(images, section, seed, part_of)
    notes: dict[str, object] = {"split_from": origin}
    if renamed:
        notes["classes_changed"] = renamed
    return Gathered(tuple(images), notes)


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
        [replace(one, id=f"{name}/{one.id}", scene=f"{name}/{one.scene}") for one in part]
        for name, part in zip(names, parts, strict=True)
    ]


def _split(
    images: list[AnnotatedImage], section: Annotations, seed: int, part_of: dict[str, int]
) -> tuple[list[AnnotatedImage], str]:
    """The images with a split each, and in words where it is from.

    A source that brings a split keeps it beside one whose images are dealt by the seed.
    """
    shares = {name: share for name, share in section.split.items() if share > 0}
    if not section.keep_given_split:
        images = [replace(image, split=None) for image in images]
    if all(image.split is None for image in images):
        return split_by_scene(images, shares, seed), f"drawn by seed {seed}"
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
            part, dealt = split_by_scene(part, shares, seed), f"; others drawn by seed {seed}"
        split_of.update((image.id, image.split) for image in part)
    images = [replace(image, split=split_of[image.id]) for image in images]
    given = set(split_of.values())
    if "train" not in given:
        raise AnnotationError(
            f"the source has only {' and '.join(sorted(map(str, given)))} images, none to train "
            f"on; split anew with annotations.keep_given_split=false."
        )
    missing = [name for name in shares if name not in given]
    for name in missing:
        images = complete_splits(images, shares[name] / sum(shares.values()), seed, name)
    carved = f"; {' and '.join(missing)} carved from its train" if missing else ""
    return list(images), f"the source{dealt}{carved}"


def _renamed(
    images: Sequence[AnnotatedImage], classes: dict[str, str | None]
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
        kept.append(
            replace(
                image,
                label=classes.get(image.label, image.label) if image.label else None,
                boxes=image.boxes[rows],
                names=tuple(str(classes.get(image.names[r], image.names[r])) for r in rows),
                phrases=tuple(image.phrases[row] for row in rows),
            )
        )
    for name in classes:
        if not touched[name]:
            raise AnnotationError(
                f"annotations.classes: there is no class '{name}' in the source; "
                f"remove the line or correct it."
            )
    return kept, dict(touched)
