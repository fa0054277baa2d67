"""Splits: whole scenes dealt to train, val and test, class by class, by a seed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Literal
from zlib import crc32

import numpy as np

from swath.annotations.image import AnnotatedImage
from swath.errors import AnnotationError, RequestError

NAMES = ("train", "val", "test")
"""Names of the splits."""

By = Literal["label", "source"]


def split_by_scene(
    images: Sequence[AnnotatedImage], shares: Mapping[str, float], seed: int, by: By = "label"
) -> list[AnnotatedImage]:
    """The images, each with a split; images of one scene share it, classes are spread evenly.

    Splits that the images already have are kept if all have one. Of a class with two scenes or
    more, each split asked for gets one, test before train before val, as far as they go.

    Args:
        images: in any order, which is kept.
        shares: share of the images for each split, by name; they sum to 1.
        seed: same images and seed, same splits.
        by: what is spread evenly.

    Raises:
        RequestError: the shares name another split or do not sum to 1.
        AnnotationError: some images have a split and others none.
    """
    _check_shares(shares)
    given = sum(image.split is not None for image in images)
    if given == len(images):
        return list(images)
    if given:
        raise AnnotationError(
            f"{given} of {len(images)} images come with a split and the others without; "
            f"list every image in a split, or remove the lists to have all dealt anew."
        )
    split_of = _dealt(images, shares, seed, by)
    return [replace(image, split=split_of[image.scene]) for image in images]


def complete_splits(
    images: Sequence[AnnotatedImage], share: float, seed: int, split: str = "val"
) -> list[AnnotatedImage]:
    """The images with a missing split carved out of train, whole scenes, class by class.

    Args:
        images: each with a split; returned as they are if one is in `split` already.
        share: share of train that moves, above 0 and below 1.
        seed: same images and seed, same splits.
        split: the split to make.

    Raises:
        RequestError: `share` is out of range.
    """
    _check_shares({"train": 1 - share, split: share})
    if any(image.split == split for image in images):
        return list(images)
    train = [image for image in images if image.split == "train"]
    split_of = _dealt(train, {"train": 1 - share, split: share}, seed, "label")
    return [
        replace(image, split=split_of[image.scene]) if image.split == "train" else image
        for image in images
    ]


def limit_per_class(
    images: Sequence[AnnotatedImage], count: int, seed: int
) -> list[AnnotatedImage]:
    """At most `count` images of each class, in their order, each split keeping its share.

    Args:
        images: in any order; those without a class count as one class.
        count: images a class.
        seed: same images and seed, same choice.

    Raises:
        RequestError: `count` is below 1.
    """
    if count < 1:
        raise RequestError(f"{count} images a class leaves none; ask for 1 or more.")
    kept: set[int] = set()
    for label, numbers in _grouped([image.label for image in images]).items():
        of_split = _grouped([images[number].split for number in numbers])
        quotas = _quotas([len(rows) for rows in of_split.values()], count)
        for (split, rows), quota in zip(of_split.items(), quotas, strict=True):
            order = _rng(seed, f"{label}/{split}").permutation(len(rows))[:quota]
            kept.update(numbers[rows[row]] for row in order)
    return [image for number, image in enumerate(images) if number in kept]


def _check_shares(shares: Mapping[str, float]) -> None:
    unknown = [name for name in shares if name not in NAMES]
    if unknown or any(share <= 0 for share in shares.values()):
        raise RequestError(
            f"shares {dict(shares)} are no shares of {', '.join(NAMES)}; give each a positive one."
        )
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise RequestError(
            f"shares {dict(shares)} sum to {sum(shares.values()):g}; make them sum to 1."
        )


def _dealt(
    images: Sequence[AnnotatedImage], shares: Mapping[str, float], seed: int, by: By
) -> dict[str, str]:
    """Split of each scene."""
    values: dict[str, Counter[str]] = defaultdict(Counter)
    for image in images:
        values[image.scene][(image.label if by == "label" else image.source) or ""] += 1
    scenes = sorted(values)
    commonest = [values[scene].most_common(1)[0][0] for scene in scenes]
    split_of: dict[str, str] = {}
    for value, rows in _grouped(commonest).items():
        order = [scenes[rows[place]] for place in _rng(seed, str(value)).permutation(len(rows))]
        split_of.update(_deal(order, [values[scene].total() for scene in order], shares))
    return split_of


def _deal(
    scenes: Sequence[str], sizes: Sequence[int], shares: Mapping[str, float]
) -> dict[str, str]:
    """Scenes in the order given, each to the split that lacks most images."""
    lack = {split: share * sum(sizes) for split, share in shares.items()}
    dealt: dict[str, list[str]] = {split: [] for split in shares}
    # First one scene each, then by what is lacking.
    first = [split for split in ("test", "train", "val") if split in shares]
    if len(scenes) == 1:
        first = ["train"] if "train" in shares else first
    for number, (scene, size) in enumerate(zip(scenes, sizes, strict=True)):
        split = first[number] if number < len(first) else max(lack, key=lambda name: lack[name])
        dealt[split].append(scene)
        lack[split] -= size
    return {scene: split for split, own in dealt.items() for scene in own}


def _quotas(counts: Sequence[int], total: int) -> list[int]:
    """`total` divided as `counts` are, by largest remainders, none above its count."""
    if sum(counts) <= total:
        return list(counts)
    exact = [count * total / sum(counts) for count in counts]
    quotas = [int(value) for value in exact]
    order = sorted(range(len(counts)), key=lambda row: quotas[row] - exact[row])
    for row in order[: total - sum(quotas)]:
        quotas[row] += 1
    return quotas


def _grouped(keys: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    """Rows of each key, keys in order of appearance."""
    rows: dict[Hashable, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        rows[key].append(row)
    return rows


def _rng(seed: int, word: str) -> np.random.Generator:
    """A generator of its own for each class, so that a new class leaves the others' splits."""
    return np.random.default_rng([seed, crc32(word.encode())])
