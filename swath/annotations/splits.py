"""Splits: those that a source gives, and pictures, scenes or ground dealt class by class."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal
from zlib import crc32

import numpy as np

from swath.annotations.finding_pictures import PictureFinder, few, is_picture
from swath.annotations.findings import Finding
from swath.annotations.footprints import blocks
from swath.annotations.image import AnnotatedImage, Images
from swath.annotations.tables import beginning, lines_of
from swath.errors import AnnotationError, RequestError

NAMES = ("train", "val", "test")
"""Names of the splits."""

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

By = Literal["image", "scene", "place"]


def split_in(file: Path) -> str | None:
    """The split that a word of a file's name, or its folder's, says."""
    words = [*re.split(r"[\W_]+", file.stem.lower()), file.parent.name.lower()]
    bare = (word.rstrip("0123456789") for word in words)
    return next((SPLITS[word] for word in bare if word in SPLITS), None)


def split_of_folders(path: Path, root: Path, names: Mapping[str, str] = SPLITS) -> str | None:
    """The split that a folder says which a file lies in, the first below the set's folder."""
    folders = (part.lower() for part in path.relative_to(root).parts[:-1])
    return next((names[folder] for folder in folders if folder in names), None)


def split_named(word: object, where: str) -> str | None:
    """Our name of the split that a field names, None for none.

    Raises:
        AnnotationError: it names no split that is known.
    """
    if word is None or word == "":
        return None
    split = SPLITS.get(str(word).lower())
    if split is None:
        raise AnnotationError(
            f"{where}: unknown split '{str(word)[:60]}'; write one of {', '.join(SPLITS)}, or "
            f"leave it out."
        )
    return split


def listed_splits(finder: PictureFinder) -> tuple[dict[Path, str], list[Finding]]:
    """The split of each picture that lists like `splits/test.txt` name, and what they name in vain.

    Lists lie in a folder `splits` in the set's folder, or beside it if it is called `images`, in
    `list` (change detection sets), `trainval` (SAMRS) or VOC's `ImageSets/Main`, where
    `trainval.txt` is train if there is neither of the two; or in the folder itself, if they name
    picture files. They hold one picture a line: its path
    or its name; a suffix may be left out. Paths of another machine (darknet's `data/obj/1.png`)
    count by their last part, if not one line of the list fits as it stands.

    Raises:
        AnnotationError: a picture is in two lists.
    """
    split_of: dict[Path, str] = {}
    findings: list[Finding] = []
    for file, split in _split_files(finder.root):
        names = [line for _, line in lines_of(file)]
        pictures = {name: finder.known(name, file) for name in names}
        if names and not any(pictures.values()):
            last_parts = {name: name.replace("\\", "/").rpartition("/")[2] for name in names}
            pictures = {
                name: finder.known(last, file, whole=False) for name, last in last_parts.items()
            }
            if any(pictures.values()):
                what = "its folders are not those of the set"
                findings.append(_list_finding(file, what, "names alone count", len(names)))
        for name, paths in pictures.items():
            for path in paths:
                if split_of.setdefault(path, split) != split:
                    raise AnnotationError(
                        f"{file}: '{name}' is in the {split_of[path]} list too; "
                        f"leave each picture in one list."
                    )
        lost = [name for name, paths in pictures.items() if not paths]
        if lost:
            what = f"{len(lost)} of its {len(names)} lines name no picture of the set: {few(lost)}"
            findings.append(_list_finding(file, what, "passed over", len(lost)))
    return split_of, findings


def _list_finding(file: Path, what: str, effect: str, count: int) -> Finding:
    action = "name pictures by their path in the set's folder"
    return Finding("split list", str(file), what, action, count, effect)


def _split_files(root: Path) -> Iterator[tuple[Path, str]]:
    for base in [root, *([root.parent] if root.name == "images" else [])]:
        for place in ("splits", "list", "ImageSets/Main", "trainval"):
            files = {file.stem.lower(): file for file in sorted((base / place).glob("*.txt"))}
            if "trainval" in files and not {"train", "val"} & files.keys():
                files["train"] = files["trainval"]
            yield from ((file, SPLITS[name]) for name, file in files.items() if name in SPLITS)
        # Lists of Darknet lie beside the pictures and name files; other formats' hold other things.
        for file in sorted(base.glob("*.txt")):
            name = file.stem.lower()
            if name in SPLITS and is_picture(Path(beginning(file).partition("\n")[0].strip())):
                yield file, SPLITS[name]


def split_images(
    images: Images,
    shares: Mapping[str, float],
    seed: int,
    by: By = "scene",
    block_m: float = 2000.0,
) -> list[AnnotatedImage]:
    """The images, each with a split; what belongs together shares it, classes are spread evenly.

    Splits that the images already have are kept if all have one. Of a class with two groups or
    more, each split asked for gets one, test before train before val, as far as they go. Images
    without a class count as of the rarest object in them.

    Args:
        images: in any order, which is kept.
        shares: share of the images for each split, by name; they sum to 1.
        seed: same images and seed, same splits.
        by: what belongs together: one file, whatever is said of it; one scene; one block of ground.
        block_m: side of a block of ground in metres.

    Raises:
        RequestError: the shares name another split or do not sum to 1.
        AnnotationError: some images have a split and others none, a place is not known, or the
            blocks of ground are fewer than the splits.
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
    groups = _together(images, by, block_m)
    if by == "place" and (count := len(set(groups))) < len(shares):
        raise AnnotationError(
            f"{len(images)} images lie in {count} block{'s' * (count > 1)} of {block_m:g} m, too "
            f"few for {len(shares)} splits; make blocks smaller (annotations.block_m), or cut the "
            f"images into tiles (annotations.tile_px)."
        )
    split_of = _dealt(images, groups, shares, seed)
    return [
        replace(image, split=split_of[group]) for image, group in zip(images, groups, strict=True)
    ]


def complete_splits(
    images: Images,
    share: float,
    seed: int,
    split: str = "val",
    by: By = "scene",
    block_m: float = 2000.0,
) -> list[AnnotatedImage]:
    """The images with a missing split carved out of train, whole groups, class by class.

    Args:
        images: each with a split; returned as they are if one is in `split` already.
        share: share of train that moves, above 0 and below 1.
        seed: same images and seed, same splits.
        by: what belongs together, as in `split_images`.
        block_m: side of a block of ground in metres.

    Raises:
        RequestError: `share` is out of range.
    """
    shares = {"train": 1 - share, split: share}
    _check_shares(shares)
    if any(image.split == split for image in images):
        return list(images)
    train = [replace(image, split=None) for image in images if image.split == "train"]
    dealt = iter(split_images(train, shares, seed, by, block_m))
    return [next(dealt) if image.split == "train" else image for image in images]


def limit_per_class(images: Images, count: int, seed: int) -> list[AnnotatedImage]:
    """At most `count` images of each class, in their order, each split keeping its share.

    Args:
        images: in any order; those without a class count as one class.
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


def _together(images: Images, by: By, block_m: float) -> list[str]:
    """Name of the group that each image is dealt with; one file is always in one group."""
    if by == "image":
        return [image.path for image in images]
    names = [image.scene for image in images] if by == "scene" else blocks(images, block_m)
    first: dict[str, str] = {}  # group of each file, then of each group that such files join

    def found(name: str) -> str:
        while (above := first.get(name, name)) != name:
            name = above
        return name

    of_file: dict[str, str] = {}
    for image, name in zip(images, names, strict=True):
        one, other = found(of_file.setdefault(image.path, name)), found(name)
        first[max(one, other)] = min(one, other)
    return [found(name) for name in names]


def _dealt(
    images: Images,
    groups: Sequence[str],
    shares: Mapping[str, float],
    seed: int,
) -> dict[str, str]:
    """Split of each group."""
    objects = Counter(name for image in images for name in image.names)
    values: dict[str, Counter[str]] = defaultdict(Counter)
    for image, group in zip(images, groups, strict=True):
        rarest = min(image.names, key=lambda name: (objects[name], name), default="")
        values[group][image.label or rarest] += 1
    names = sorted(values)
    commonest = [values[name].most_common(1)[0][0] for name in names]
    split_of: dict[str, str] = {}
    for value, rows in _grouped(commonest).items():
        order = [names[rows[place]] for place in _rng(seed, str(value)).permutation(len(rows))]
        split_of.update(_deal(order, [values[name].total() for name in order], shares))
    if len(names) >= len(shares) > len(set(split_of.values())):  # hardly two groups of any class
        order = [names[place] for place in _rng(seed, "").permutation(len(names))]
        split_of = _deal(order, [values[name].total() for name in order], shares)
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
