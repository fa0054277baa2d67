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
) -> Gathered:
    """The images that the recipe's `annotations` ask for, split.

    Args:
        section: the recipe's `annotations`.
        seed: of drawing and splitting.
        drawings: folder for drawn scenes.
        progress: called with images drawn and asked for.
        workers: processes that draw.

    Raises:
        RecipeError: neither or both of `source` and `drawn` are given.
        AnnotationError: nothing usable is there.
    """
    if (section.source is None) == (section.drawn is None):
        raise RecipeError(
            "annotations: name either `source` (your folder) or `drawn` (scenes drawn by swath); "
            "for example annotations.source=path/to/images."
        )
    if section.drawn is not None:
        drawn = section.drawn
        images = draw_set(
            drawings,
            KINDS[drawn.kinds],
            drawn.count,
            seed,
            drawn.size_px,
            workers,
            progress,
            ".jpg",
        )
    else:
        images = read(Path(str(section.source)), section.format, section.unreadable)
    images, renamed = _renamed(images, section.classes)
    if section.limit_per_class:
        images = limit_per_class(images, section.limit_per_class, seed)
    images, origin = _split(images, section, seed)
    notes: dict[str, object] = {"split_from": origin}
    if renamed:
        notes["classes_changed"] = renamed
    return Gathered(tuple(images), notes)


def _split(
    images: list[AnnotatedImage], section: Annotations, seed: int
) -> tuple[list[AnnotatedImage], str]:
    shares = {name: share for name, share in section.split.items() if share > 0}
    if not section.keep_given_split:
        images = [replace(image, split=None) for image in images]
    given = {image.split for image in images}
    if given == {None}:
        return split_by_scene(images, shares, seed), f"drawn by seed {seed}"
    if None in given:
        raise AnnotationError(
            f"{sum(image.split is None for image in images)} of {len(images)} images are in no "
            f"split of the source; add them, or split anew with annotations.keep_given_split=false."
        )
    if "train" not in given:
        raise AnnotationError(
            f"the source has only {' and '.join(sorted(map(str, given)))} images, none to train "
            f"on; split anew with annotations.keep_given_split=false."
        )
    missing = [name for name in shares if name not in given]
    for name in missing:
        images = complete_splits(images, shares[name] / sum(shares.values()), seed, name)
    carved = f"; {' and '.join(missing)} carved from its train" if missing else ""
    return list(images), f"the source{carved}"


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
