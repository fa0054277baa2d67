"""Leaks: the same picture, scene or ground in two splits, and copies within one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from swath.annotations.finding_pictures import few
from swath.annotations.findings import Finding
from swath.annotations.fingerprints import Look
from swath.annotations.footprints import overlapping
from swath.annotations.image import AnnotatedImage
from swath.annotations.likeness import near_pairs

_DEAL_ANEW = "deal the splits anew (annotations.keep_given_split=false annotations.split_by="


def leaks(images: Sequence[AnnotatedImage], looks: Sequence[Look | str]) -> list[Finding]:
    """What stands in two splits: files, scenes, ground, and pictures that look the same."""
    sound = [(one, seen) for one, seen in zip(images, looks, strict=True) if isinstance(seen, Look)]
    return [
        *(finding for finding in _copies(sound) if finding.kind == "leak"),
        *_split_scenes(images),
        *_overlaps(sound),
        *sorted(_near_copies(sound), key=lambda finding: "itself in" not in finding.what),
    ]


def copies(images: Sequence[AnnotatedImage], looks: Sequence[Look | str]) -> list[Finding]:
    """Equal files within a split, and under two labels."""
    sound = [(one, seen) for one, seen in zip(images, looks, strict=True) if isinstance(seen, Look)]
    return [finding for finding in _copies(sound) if finding.kind != "leak"]


Seen = Sequence[tuple[AnnotatedImage, Look]]


def _copies(sound: Seen) -> Iterator[Finding]:
    same: dict[bytes, list[AnnotatedImage]] = defaultdict(list)
    for image, seen in sound:
        same[seen.digest].append(image)
    for alike in same.values():
        if len(alike) == 1:
            continue
        first, others = alike[0], alike[1:]
        listed = few([image.id for image in others])
        if len({image.split for image in alike}) > 1:
            placed = few([f"{image.id} ({image.split or 'no split'})" for image in others])
            action = "keep one of them, or give them one scene so that they share a split"
            if len({image.path for image in alike}) < len(alike):
                action = f"split whole pictures, not expressions: {_DEAL_ANEW}image)"
            yield Finding(
                "leak",
                first.id,
                f"the same file is in {first.split or 'no split'} here and again as {placed}",
                action,
                len(alike),
            )
        elif len({image.path for image in alike}) > 1:
            yield Finding(
                "duplicate",
                first.id,
                f"the same file again as {listed}",
                "keep one of them",
                len(alike),
            )
        labels = sorted({image.label for image in alike if image.label is not None})
        if len(labels) > 1:
            yield Finding(
                "two labels",
                first.id,
                f"the same file is labelled {' and '.join(labels)} (again as {listed})",
                "decide for one label and remove the other file",
                len(alike),
            )


def _split_scenes(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    scenes: dict[str, list[AnnotatedImage]] = defaultdict(list)
    for image in images:
        scenes[image.scene].append(image)
    for scene, some in scenes.items():
        names = [image.split or "no split" for image in some]
        if len(set(names)) > 1 and len({image.path for image in some}) > 1:
            yield Finding(
                "split scene",
                scene,
                f"its images lie in {' and '.join(sorted(set(names)))}",
                f"put all images of a scene into one split, or {_DEAL_ANEW}scene)",
                len(names),
            )


def _overlaps(sound: Seen) -> Iterator[Finding]:
    for one, other, share in overlapping([seen.ground for _, seen in sound]):
        (first, look_), (second, again) = sound[one], sound[other]
        if first.split != second.split and look_.digest != again.digest:
            if first.scene == second.scene:
                continue  # said of their scene
            yield Finding(
                "overlap",
                first.id,
                f"shares {share:.0%} of its ground with {second.id}; one is in "
                f"{first.split or 'no split'}, the other in {second.split or 'no split'}",
                f"split by place: {_DEAL_ANEW}place)",
                2,
            )


def _near_copies(sound: Seen) -> Iterator[Finding]:
    """Pictures that look the same, perhaps turned or mirrored, without being the same file."""
    for alike, turned in _alike(sound):
        first, *others = (sound[row][0] for row in alike)
        listed = few([f"{image.id} ({image.split or 'no split'})" for image in others])
        how = ", turned or mirrored" if turned else ""
        across = len({image.split for image in (first, *others)}) > 1
        yield Finding(
            "leak" if across else "near duplicate",
            first.id,
            f"looks like {listed}{how}" + (f"; itself in {first.split or 'no split'}" * across),
            "compare them and keep one"
            + ", give all the same split, or deal anew (annotations.keep_given_split=false)"
            * across,
            len(alike),
        )


def _alike(sound: Seen) -> Iterator[tuple[list[int], bool]]:
    """Rows of pictures that look the same, a file once a split; and whether some are turned."""
    firsts = {(image.split, seen.digest): row for row, (image, seen) in enumerate(sound)}
    rows = sorted(firsts.values())
    if not rows:
        return
    looks = [sound[row][1] for row in rows]
    found = [
        (one, other, form)
        for one, other, form in near_pairs(
            np.stack([seen.prints for seen in looks]), np.stack([seen.thumb for seen in looks])
        )
        if looks[one].digest != looks[other].digest
    ]
    turned = {one for *pair, form in found if form for one in pair}
    for alike in _linked([pair[:2] for pair in found], len(rows)):
        yield [rows[row] for row in alike], bool(turned.intersection(alike))


def kept_together(
    images: Sequence[AnnotatedImage], looks: Sequence[Look | str], dealt: Sequence[str]
) -> list[AnnotatedImage]:
    """The images with copies and look-alikes in one split, each with its whole scene.

    The largest such group goes to the split that lacks most images, and so on. Where that leaves a
    split without images, all stay as they are.

    Args:
        images: with a split each.
        looks: of each.
        dealt: splits that images may be moved between; those given by a source are not.
    """
    rows = [row for row, image in enumerate(images) if image.split in dealt]
    seen_at = [(row, seen) for row in rows if isinstance(seen := looks[row], Look)]
    pairs = [
        (seen_at[one][0], seen_at[other][0])
        for alike, _ in _alike([(images[row], seen) for row, seen in seen_at])
        for one, other in pairwise(alike)
    ]
    first: dict[object, int] = {}
    for row, key in [
        *((row, seen.digest) for row, seen in seen_at),
        *((row, ("scene", images[row].scene)) for row in rows),
        *((row, ("path", images[row].path)) for row in rows),
    ]:
        if (before := first.setdefault(key, row)) != row:
            pairs.append((before, row))
    splits = [str(image.split) for image in images]
    lack = Counter(dict.fromkeys(dealt, 0))  # of each split, once those astride are taken out
    astride = [one for one in _linked(pairs, len(images)) if len({splits[row] for row in one}) > 1]
    lack.update(splits[row] for group in astride for row in group)
    for group in sorted(astride, key=len, reverse=True):
        split = max(dealt, key=lambda name: lack[name])
        lack[split] -= len(group)
        for row in group:
            splits[row] = split
    if set(splits) != {str(image.split) for image in images}:
        return list(images)
    return [
        image if image.split == split else replace(image, split=split)
        for image, split in zip(images, splits, strict=True)
    ]


def _linked(pairs: Sequence[tuple[int, int]], count: int) -> Iterator[list[int]]:
    """Numbers below `count` that pairs join, directly or through others, each group in order."""
    if not pairs:
        return
    ones, others = np.array(pairs).T
    links = coo_array((np.ones(len(ones)), (ones, others)), shape=(count, count))
    _, groups = connected_components(links, directed=False)
    joined = np.unique(np.concatenate([ones, others]))
    order = joined[np.argsort(groups[joined], kind="stable")]
    groups_of = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    yield from sorted(group.tolist() for group in groups_of)
