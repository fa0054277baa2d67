"""Leaks: the same picture, scene or ground in two splits, and copies within one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from swath.annotations.finding_pictures import few
from swath.annotations.findings import Finding
from swath.annotations.fingerprints import Look, near_pairs
from swath.annotations.footprints import overlapping
from swath.annotations.image import AnnotatedImage, Images

_DEAL_ANEW = "deal the splits anew (annotations.keep_given_split=false annotations.split_by="

Pictures = Sequence[tuple[AnnotatedImage, Look]]
"""Images that can be decoded, and what they look like."""


def leaks(images: Images, looks: Sequence[Look | str]) -> list[Finding]:
    """What stands in two splits: files, scenes, ground, and pictures that look the same."""
    pictures = _decoded(images, looks)
    return [
        *(finding for finding in _copies(pictures) if finding.kind == "leak"),
        *_split_scenes(images),
        *_overlaps(pictures),
        *sorted(_near_copies(pictures), key=lambda finding: "itself in" not in finding.what),
    ]


def copies(images: Images, looks: Sequence[Look | str]) -> list[Finding]:
    """Equal files within a split, and under two labels."""
    return [finding for finding in _copies(_decoded(images, looks)) if finding.kind != "leak"]


def _decoded(images: Images, looks: Sequence[Look | str]) -> Pictures:
    pairs = zip(images, looks, strict=True)
    return [(image, look) for image, look in pairs if isinstance(look, Look)]


def _placed(image: AnnotatedImage) -> str:
    """The split that an image is in, in words."""
    return image.split or "no split"


def _copies(pictures: Pictures) -> Iterator[Finding]:
    images_of: dict[bytes, list[AnnotatedImage]] = defaultdict(list)
    for image, look in pictures:
        images_of[look.digest].append(image)
    for alike in images_of.values():
        if len(alike) == 1:
            continue
        first, *again = alike
        ids, count = few([image.id for image in again]), len(alike)
        paths = {image.path for image in alike}
        if len({image.split for image in alike}) > 1:
            places = few([f"{image.id} ({_placed(image)})" for image in again])
            action = "keep one of them, or give them one scene so that they share a split"
            if len(paths) < count:
                action = f"split whole pictures, not expressions: {_DEAL_ANEW}image)"
            what = f"the same file is in {_placed(first)} here and again as {places}"
            yield Finding("leak", first.id, what, action, count)
        elif len(paths) > 1:
            what = f"the same file again as {ids}"
            yield Finding("duplicate", first.id, what, "keep one of them", count)
        labels = sorted({image.label for image in alike if image.label is not None})
        if len(labels) > 1:
            what = f"the same file is labelled {' and '.join(labels)} (again as {ids})"
            action = "decide for one label and remove the other file"
            yield Finding("two labels", first.id, what, action, count)


def _split_scenes(images: Images) -> Iterator[Finding]:
    scenes: dict[str, list[AnnotatedImage]] = defaultdict(list)
    for image in images:
        scenes[image.scene].append(image)
    for scene, of_scene in scenes.items():
        splits = sorted({_placed(image) for image in of_scene})
        if len(splits) > 1 and len({image.path for image in of_scene}) > 1:
            what = f"its images lie in {' and '.join(splits)}"
            action = f"put all images of a scene into one split, or {_DEAL_ANEW}scene)"
            yield Finding("split scene", scene, what, action, len(of_scene))


def _overlaps(pictures: Pictures) -> Iterator[Finding]:
    for row, later, share in overlapping([look.ground for _, look in pictures]):
        (image, look), (neighbour, other_look) = pictures[row], pictures[later]
        if image.split == neighbour.split or image.scene == neighbour.scene:
            continue  # what is in two splits of one scene is said of the scene
        if look.digest != other_look.digest:
            what = (
                f"shares {share:.0%} of its ground with {neighbour.id}; one is in "
                f"{_placed(image)}, the other in {_placed(neighbour)}"
            )
            yield Finding("overlap", image.id, what, f"split by place: {_DEAL_ANEW}place)", 2)


def _near_copies(pictures: Pictures) -> Iterator[Finding]:
    """Pictures that look the same, perhaps turned or mirrored, without being the same file."""
    for rows, turned in _alike(pictures):
        first, *again = (pictures[row][0] for row in rows)
        what = f"looks like {few([f'{image.id} ({_placed(image)})' for image in again])}"
        what += ", turned or mirrored" if turned else ""
        kind, action = "near duplicate", "compare them and keep one"
        if len({image.split for image in (first, *again)}) > 1:
            kind, what = "leak", f"{what}; itself in {_placed(first)}"
            action += ", give all the same split, or deal anew (annotations.keep_given_split=false)"
        yield Finding(kind, first.id, what, action, len(rows))


def _alike(pictures: Pictures) -> Iterator[tuple[list[int], bool]]:
    """Rows of pictures that look the same, a file once a split; and whether some are turned."""
    firsts = {(image.split, look.digest): row for row, (image, look) in enumerate(pictures)}
    rows = sorted(firsts.values())
    if not rows:
        return
    looks = [pictures[row][1] for row in rows]
    prints = np.stack([look.prints for look in looks])
    thumbs = np.stack([look.thumb for look in looks])
    pairs: list[tuple[int, int]] = []
    turned: set[int] = set()
    for row, later, form in near_pairs(prints, thumbs):
        if looks[row].digest != looks[later].digest:
            pairs.append((row, later))
            turned |= {row, later} if form else set()
    for group in _linked(pairs, len(rows)):
        yield [rows[row] for row in group], not turned.isdisjoint(group)


def kept_together(
    images: Images, looks: Sequence[Look | str], dealt: Sequence[str], given: Collection[str] = ()
) -> list[AnnotatedImage]:
    """The images with copies and look-alikes in one split, each with its whole scene.

    The largest such group goes to the split that lacks most images, and so on. Where that leaves a
    split without images, all stay as they are.

    Args:
        images: with a split each.
        dealt: splits that images may be moved between; those given by a source are not.
        given: ids of images that stay in one of these, as their own source put them there.
    """
    may_move = [image.split in dealt and image.id not in given for image in images]
    movable = [row for row, may in enumerate(may_move) if may]
    decoded = [(row, look) for row in movable if isinstance(look := looks[row], Look)]
    pairs: list[tuple[int, int]] = []
    for group, _ in _alike([(images[row], look) for row, look in decoded]):
        pairs += pairwise(decoded[place][0] for place in group)
    first: dict[object, int] = {}
    keys: list[tuple[int, object]] = [(row, look.digest) for row, look in decoded]
    keys += [(row, ("scene", images[row].scene)) for row in movable]
    keys += [(row, ("path", images[row].path)) for row in movable]
    for row, key in keys:
        before = first.setdefault(key, row)
        if before != row:
            pairs.append((before, row))
    splits = [str(image.split) for image in images]
    groups = _linked(pairs, len(images))
    astride = [group for group in groups if len({splits[row] for row in group}) > 1]
    # What each split lacks once those astride are taken out.
    lack = Counter(dict.fromkeys(dealt, 0))
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


def _linked(pairs: Sequence[tuple[int, int]], count: int) -> list[list[int]]:
    """Numbers below `count` that pairs join, directly or through others, each group in order."""
    if not pairs:
        return []
    ones, others = np.array(pairs).T
    links = coo_array((np.ones(len(ones)), (ones, others)), shape=(count, count))
    _, groups = connected_components(links, directed=False)
    members: dict[int, list[int]] = defaultdict(list)
    for number in np.unique(np.array(pairs)).tolist():
        members[groups[number]].append(number)
    return sorted(members.values())
