"""Layouts of benchmarks made of annotated pictures: classes, captions, objects to count or find."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

from swath.annotations.finding_pictures import is_clip
from swath.annotations.formats.captions import caption_rows, captions_of, names_of
from swath.annotations.formats.voc import annotated, expression_splits, xml_files
from swath.annotations.formats.xbd import buildings, damage, label_files
from swath.annotations.image import AnnotatedImage, Images
from swath.annotations.readers import read
from swath.annotations.tables import lines_of, load, open_text, rows_of
from swath.errors import AnnotationError
from swath.evaluation.suites.items import LAYOUTS, Item, Pictures
from swath.evaluation.suites.table import Suite
from swath.files import Json
from swath.instructions.language import spoken, with_article
from swath.instructions.tasks.base import Fact
from swath.instructions.tasks.pairs import damage_counts, damage_text
from swath.instructions.tasks.truths import (
    AnswerTruth,
    BoxesTruth,
    CaptionsTruth,
    CountTruth,
    DamageTruth,
    LabelsTruth,
    LabelTruth,
)
from swath.instructions.tasks.words import TASKS


def images(folder: Path, suite: Suite) -> list[Item]:
    """Any annotations that swath reads; `options.format` names a reader where looking fails."""
    pictures = read(folder, suite.options.get("format", "auto"))
    if suite.split and any(image.split for image in pictures):
        pictures = [image for image in pictures if image.split == suite.split]
    return list(of_images(pictures, suite))


def of_images(images: Images, suite: Suite) -> Iterator[Item]:
    """What a suite's task asks of annotated images: all that the instruction task knows of them.

    For "count", `options.count` asks for all boxes at once under that name. `options.false_premise`
    asks "question" of objects: for each image whether a class that is there, and one that is not,
    can be seen.
    """
    classes = {name for image in images for name in image.names}
    for image in images:
        for number, fact in enumerate(_facts(image, suite, classes)):
            name = image.id if suite.task in _ONE_AN_IMAGE else f"{image.id}#{number}"
            yield Item(name, image.frames or (image.path,), fact, image.size_wh)


def _facts(image: AnnotatedImage, suite: Suite, classes: set[str]) -> Iterable[Fact[Any]]:
    """What is asked of one image; `classes` are those of all images."""
    counted = suite.options.get("count")
    if suite.options.get("false_premise"):
        return _false_premises(image, classes)
    if counted:
        return [Fact(CountTruth(len(image.boxes), counted), {"names": counted})]
    return TASKS.get(suite.task).facts(image) if suite.task in TASKS else ()


_ONE_AN_IMAGE = ("classify", "caption")


def _false_premises(image: AnnotatedImage, classes: set[str]) -> Iterator[Fact[AnswerTruth]]:
    present = set(image.names)
    for kind, answer, names in (
        ("present", "yes", present),
        ("absent", "no", classes - present),
    ):
        if names:
            name = sorted(names)[crc32(image.id.encode()) % len(names)]
            words = f"Is there {with_article(spoken(name))} in the image?"
            yield Fact(AnswerTruth(answer, kind), {"question": words})


def fmow(folder: Path, suite: Suite) -> Iterator[Item]:
    """`rgb_metadata.csv` and `images/rgb_img_<row>.png`; the test split is that from 2016 on."""
    file = anywhere(folder, "rgb_metadata.csv")
    for number, row in enumerate(table(file)):
        late = row["timestamp"] >= "2016"
        if row["split"] == (suite.split or "test") and (late or suite.split != "test"):
            path = str(file.parent / "images" / f"rgb_img_{number}.png")
            yield Item(str(number), (path,), Fact(LabelTruth(row["category"])))


def bigearthnet(folder: Path, suite: Suite) -> Iterator[Item]:
    """A `<patch>_labels_metadata.json` a patch, and its picture in red, green and blue.

    `options.merge` says which classes are another, or none; a patch of none is left out. A CSV file
    with the split in its name, if there is one, lists its patches first in each line.
    """
    find = Pictures(folder)
    merge = suite.options.get("merge", {})
    listed = set()
    for file in sorted(folder.rglob(f"*{suite.split}.csv")) if suite.split else ():
        for _, line in lines_of(file):
            listed.add(line.split(",")[0].strip())
    for file in sorted(folder.rglob("*_labels_metadata.json")):
        patch = file.name.removesuffix("_labels_metadata.json")
        labels = {merge.get(label, label) for label in load(file)["labels"]} - {None}
        if labels and (not listed or patch in listed):
            yield Item(patch, (find(patch),), Fact(LabelsTruth(tuple(sorted(labels)))))


def clips(folder: Path, suite: Suite) -> Iterator[Item]:
    """A folder of clips a class, below the split's folder where there is one."""
    root = next(filter(Path.is_dir, (folder / "Test", folder / "test")), folder)
    for path in filter(is_clip, sorted(root.rglob("*"))):
        name = path.relative_to(root).with_suffix("").as_posix()
        yield Item(name, (str(path),), Fact(LabelTruth(path.parent.name)))


def captions(folder: Path, suite: Suite) -> Iterator[Item]:
    """Sentences in JSON, pictures or not.

    Understands `{"images": [{"filename", "split", "sentences"}]}` (UCM, Sydney, RSICD, RSITMD,
    LEVIR-CC, whose pictures are pairs in A and B), `{class: [{"filename", "raw", "raw_1", ...}]}`
    (NWPU), `{"ERA_caption": [{"video_id", "annotation": {"English_caption"}}]}` (CapERA) and
    lists of `{"image", "captions" or "caption"}`, where one string holds sentences parted by two
    spaces.
    """
    find = Pictures(folder)
    paired = bool(suite.options.get("pair"))
    defaults: Json = {"split": suite.split}
    if paired:
        defaults["changeflag"] = None
    files = [folder]
    if folder.is_dir():
        files = sorted(folder.glob(suite.options.get("file", "*.json")))
    for file in files:
        for number, row in enumerate(caption_rows(load(file))):
            if not isinstance(row, dict):
                continue
            split = row.get("split")
            if suite.split and split and split != suite.split:
                continue
            names = names_of({**defaults, **row})
            captions = [text for text in captions_of(row, f"{file}: entry {number}") if text]
            if names[0] and captions:
                name = str(names[0])
                if paired:
                    name = name.rpartition("/")[2]
                yield Item(name, tuple(map(find, names)), Fact(CaptionsTruth(tuple(captions))))


def voc(folder: Path, suite: Suite) -> Iterator[Item]:
    """Pascal VOC: an XML file a picture."""
    yield from of_images(list(annotated(xml_files(folder), Pictures(folder))), suite)


def cowc(folder: Path, suite: Suite) -> Iterator[Item]:
    """COWC-M: `object_count.csv` of Folder_Name, File_Name and a column a kind; cars in all."""
    kinds = ("other_count", "pickup_count", "sedan_count", "unknown_count")
    file = anywhere(folder, "object_count.csv")
    for row in table(file):
        name = f"{row['folder_name']}/{row['file_name']}"
        count = sum(int(float(row[kind] or 0)) for kind in kinds)
        if count or int(float(row["neg_count"] or 0)):
            yield _counted(name, str(file.parent / name), count, "cars")


def animals(folder: Path, suite: Suite) -> Iterator[Item]:
    """`annotations_<split>.csv` without a header: path, four corners, species; a box a line."""
    counts: Counter[str] = Counter()
    file = anywhere(folder, f"annotations_{suite.split or 'test'}.csv")
    with open_text(file) as stream:
        counts.update(row[0] for row in csv.reader(stream) if row)
    for name, count in counts.items():
        yield _counted(
            name, str(file.parent / name), count, "elephants, giraffes and zebras together"
        )


def xbd(folder: Path, suite: Suite) -> Iterator[Item]:
    """xBD: `<name>_{pre,post}_disaster.json` and pictures; buildings, or damage by degree."""
    find = Pictures(folder)
    for name, before, after in label_files(folder):
        pictures = tuple(find(f"{name}_{side}_disaster.png") for side in ("pre", "post"))
        if suite.task == "count":
            yield _counted(name, pictures[0], len(buildings(before)), "buildings")
            continue
        if after is None:
            raise AnnotationError(f"{before}: has no file of after the disaster; copy it as well.")
        counts = damage_counts(map(damage, buildings(after)))
        yield Item(name, pictures, Fact(DamageTruth(counts, damage_text(counts))))


def _counted(name: str, path: str, count: int, names: str) -> Item:
    return Item(name, (path,), Fact(CountTruth(count, names), {"names": names}))


def anywhere(folder: Path, name: str) -> Path:
    """The file of a name in a folder or below, the highest; where it belongs if it is absent."""
    files = folder.rglob(name)
    return min(files, key=lambda file: (len(file.parts), file), default=folder / name)


def table(file: Path) -> list[Json]:
    """Rows of a CSV or TSV file under its header, whose names are in lower case.

    Raises:
        AnnotationError: it is absent or damaged.
    """
    return [row for _, row in rows_of(file)]


def dior_rsvg(folder: Path, suite: Suite) -> list[Item]:
    """DIOR-RSVG: objects numbered through all XML files by path; `<split>.txt` lists numbers.

    `options.disjoint` keeps expressions on pictures that no train or val number is on.
    """
    splits = expression_splits(folder)
    items = []
    trained = set()  # pictures that a train or val number is on
    number = 0
    for image in annotated(xml_files(folder), Pictures(folder)):
        for place, phrase in enumerate(image.phrases):
            split = splits.get(number)
            if split in ("train", "val"):
                trained.add(image.path)
            if split == (suite.split or "test"):
                words = {"phrase": phrase or "", "question": phrase or ""}
                fact = Fact(BoxesTruth(image.boxes[place]), words)
                items.append(Item(str(number), (image.path,), fact, image.size_wh))
            number += 1
    if suite.options.get("disjoint"):
        items = [item for item in items if item.images[0] not in trained]
    return items


for _layout in (images, fmow, bigearthnet, clips, captions, voc, cowc, animals, xbd, dior_rsvg):
    LAYOUTS.add(_layout.__name__.replace("_", "-"), _layout)
