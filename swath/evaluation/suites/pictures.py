"""Layouts of benchmarks made of annotated pictures: classes, captions, objects to count or find."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as Xml
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

from swath.annotations.image import AnnotatedImage
from swath.annotations.listings import load
from swath.annotations.pictures import UNMEASURED, is_clip
from swath.annotations.readers import read
from swath.boxes import Boxes
from swath.errors import AnnotationError
from swath.evaluation.suites.items import LAYOUTS, Item, Pictures
from swath.evaluation.suites.table import Suite
from swath.instructions.grammar import plural, spoken, with_article

_DAMAGE = {
    "no-damage": "no_damage",
    "minor-damage": "minor_damage",
    "major-damage": "major_damage",
    "destroyed": "destroyed",
}


def images(folder: Path, suite: Suite) -> list[Item]:
    """Any annotations that swath reads; `options.format` names a reader where looking fails."""
    found = read(folder, suite.options.get("format", "auto"))
    if suite.split and any(image.split for image in found):
        found = [image for image in found if image.split == suite.split]
    return list(of_images(found, suite))


def of_images(found: Iterable[AnnotatedImage], suite: Suite) -> Iterator[Item]:
    """What a suite's task asks of annotated images.

    For "count", `options.count` asks for all boxes at once under that name; otherwise each class
    that is there is counted. `options.false_premise` asks "question" of objects: for each image
    whether a class that is there, and one that is not, can be seen.
    """
    found = list(found)
    names = sorted({name for image in found for name in image.names})
    for image in found:
        paths = image.frames or (image.path,)
        for number, (truth, words, asked) in enumerate(_asked(image, suite, names)):
            several = suite.task not in ("classify", "caption")
            name = f"{image.id}#{number}" if several else image.id
            yield Item(name, paths, truth, words, asked, image.size_wh)


Asked = tuple[dict[str, Any], dict[str, str], Boxes | None]


def _asked(image: AnnotatedImage, suite: Suite, names: list[str]) -> Iterator[Asked]:
    boxes = image.boxes
    if suite.options.get("false_premise"):
        for kind, some in (("present", image.names), ("absent", set(names) - {*image.names})):
            if some:
                name = sorted(set(some))[crc32(image.id.encode()) % len(set(some))]
                words = f"Is there {with_article(spoken(name))} in the image?"
                truth = {"answer": "yes" if kind == "present" else "no", "kind": kind}
                yield truth, {"question": words}, None
    elif suite.task == "classify" and image.label:
        yield {"label": image.label}, {}, None
    elif suite.task == "caption" and image.captions:
        label = {"label": image.label} if image.label else {}
        yield {"captions": list(image.captions), **label}, {}, None
    elif suite.task == "question":
        for one in image.questions:
            yield {"answer": one.answer, "kind": one.kind}, {"question": one.question}, None
    elif suite.task == "count":
        if asked := suite.options.get("count"):
            yield {"count": len(boxes), "name": asked}, {"names": asked}, None
            return
        for name, count in sorted(Counter(image.names).items()):
            yield {"count": count, "name": name}, {"names": plural(spoken(name))}, None
    elif suite.task == "ground":
        for name in sorted(set(image.names)):
            rows = quads_of(boxes[[place for place, one in enumerate(image.names) if one == name]])
            yield {"boxes": rows, "name": name}, {"phrase": plural(spoken(name))}, None
    elif suite.task in ("refer", "identify", "region"):
        for place, (name, phrase) in enumerate(zip(image.names, image.phrases, strict=True)):
            if suite.task == "identify":
                yield {"name": name}, {}, boxes[place]
            elif phrase and suite.task == "region":
                yield {"captions": [phrase]}, {}, boxes[place]
            elif phrase:
                yield {"boxes": quads_of(boxes[place])}, {"phrase": phrase}, None


def quads_of(boxes: Boxes) -> list[list[float]]:
    """Boxes as truths hold them, rows of 8 pixel values."""
    return boxes.quads.reshape(-1, 8).round(3).tolist()


def fmow(folder: Path, suite: Suite) -> Iterator[Item]:
    """`rgb_metadata.csv` and `images/rgb_img_<row>.png`; the test split is that from 2016 on."""
    for number, row in enumerate(table(folder / "rgb_metadata.csv")):
        late = row["timestamp"] >= "2016"
        if row["split"] == (suite.split or "test") and (late or suite.split != "test"):
            path = str(folder / "images" / f"rgb_img_{number}.png")
            yield Item(str(number), (path,), {"label": row["category"]})


def bigearthnet(folder: Path, suite: Suite) -> Iterator[Item]:
    """A `<patch>_labels_metadata.json` a patch, and its picture in red, green and blue."""
    find = Pictures(folder)
    for file in sorted(folder.rglob("*_labels_metadata.json")):
        patch = file.name.removesuffix("_labels_metadata.json")
        yield Item(patch, (find(patch),), {"labels": load(file)["labels"]})


def clips(folder: Path, suite: Suite) -> Iterator[Item]:
    """A folder of clips a class, below the split's folder where there is one."""
    root = next((folder / name for name in ("Test", "test") if (folder / name).is_dir()), folder)
    for path in sorted(path for path in root.rglob("*") if is_clip(path)):
        name = path.relative_to(root).with_suffix("").as_posix()
        yield Item(name, (str(path),), {"label": path.parent.name})


def captions(folder: Path, suite: Suite) -> Iterator[Item]:
    """Sentences in JSON, pictures or not.

    Understands `{"images": [{"filename", "split", "sentences"}]}` (UCM, Sydney, RSICD, RSITMD,
    LEVIR-CC, whose pictures are pairs in A and B), `{class: [{"filename", "raw", "raw_1", ...}]}`
    (NWPU), `{"ERA_caption": [{"video_id", "annotation": {"English_caption"}}]}` (CapERA) and
    lists of `{"image", "captions" or "caption"}`, where one string holds sentences parted by two
    spaces.
    """
    find = Pictures(folder)
    files = (
        sorted(folder.glob(suite.options.get("file", "*.json"))) if folder.is_dir() else [folder]
    )
    for file in files:
        for row in _caption_rows(load(file)):
            split = row.get("split")
            if suite.split and split and split != suite.split:
                continue
            name = str(row["name"])
            if suite.options.get("pair"):
                inner = row.get("filepath") or split or suite.split
                paths = [find(f"{inner}/{side}/{name}") for side in "AB"]
            else:
                paths = [find(name)]
            yield Item(name, tuple(paths), {"captions": row["captions"]})


def _caption_rows(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, dict) and "ERA_caption" in content:
        for row in content["ERA_caption"]:
            said = row["annotation"]["English_caption"]
            yield {"name": row["video_id"], "captions": [said] if isinstance(said, str) else said}
        return
    if isinstance(content, dict) and "images" not in content:
        content = [row for rows in content.values() if isinstance(rows, list) for row in rows]
    for row in content["images"] if isinstance(content, dict) else content:
        if not isinstance(row, dict):
            continue
        name = next(
            (row[key] for key in ("filename", "image", "img", "imged_id") if key in row), ""
        )
        said = row.get("sentences") or row.get("captions") or row.get("caption")
        if said is None:
            said = [text for key, text in row.items() if key.startswith("raw")]
        if isinstance(said, str):
            said = [text.strip() for text in said.split("  ") if text.strip()]
        texts = [one if isinstance(one, str) else one.get("raw") or " ".join(one["tokens"])
                 for one in said]  # fmt: skip
        if name and texts:
            yield {**row, "name": name, "captions": texts}


def voc(folder: Path, suite: Suite) -> Iterator[Item]:
    """Pascal VOC: an XML file a picture."""
    yield from of_images((image for _, image in voc_images(folder)), suite)


def voc_images(folder: Path) -> Iterator[tuple[Xml.Element, AnnotatedImage]]:
    """The annotated image of each XML file, by path, with the file's root.

    Raises:
        AnnotationError: a file is not XML, or lacks what a box needs.
    """
    find = Pictures(folder)
    for file in sorted(folder.rglob("*.xml")):
        try:
            root = Xml.parse(file).getroot()
            if root.find("filename") is None:
                continue
            objects = root.findall("object")
            rows = [[float(one.findtext(f"bndbox/{key}", "")) for key in
                     ("xmin", "ymin", "xmax", "ymax")] for one in objects]  # fmt: skip
            size = tuple(int(root.findtext(f"size/{key}", "0")) for key in ("width", "height"))
        except (Xml.ParseError, ValueError) as error:
            raise AnnotationError(f"{file}: not Pascal VOC ({error}); copy it again.") from None
        path = find(root.findtext("filename", "").strip())
        yield (
            root,
            AnnotatedImage(
                id=file.stem,
                path=path,
                size_wh=(size[0], size[1]) if all(size) else UNMEASURED,
                boxes=Boxes.from_hbb(rows) if rows else Boxes.empty(),
                names=tuple(one.findtext("name", "object").strip() for one in objects),
                phrases=tuple(one.findtext("description") for one in objects),
            ),
        )


def cowc(folder: Path, suite: Suite) -> Iterator[Item]:
    """COWC-M: `object_count.csv` of Folder_Name, File_Name and a column a kind; cars in all."""
    kinds = ("Other_Count", "Pickup_Count", "Sedan_Count", "Unknown_Count")
    for row in table(next(iter(sorted(folder.rglob("object_count.csv"))), folder)):
        name = f"{row['Folder_Name']}/{row['File_Name']}"
        count = sum(int(float(row[kind] or 0)) for kind in kinds)
        if count or int(float(row["Neg_Count"] or 0)):
            yield _counted(name, str(folder / name), count, "cars")


def animals(folder: Path, suite: Suite) -> Iterator[Item]:
    """`annotations_<split>.csv` without a header: path, four corners, species; a box a line."""
    counts: Counter[str] = Counter()
    with (folder / f"annotations_{suite.split or 'test'}.csv").open(newline="") as stream:
        counts.update(row[0] for row in csv.reader(stream) if row)
    for name, count in counts.items():
        yield _counted(name, str(folder / name), count, "elephants, giraffes and zebras together")


def xbd(folder: Path, suite: Suite) -> Iterator[Item]:
    """xBD: `<name>_{pre,post}_disaster.json` and pictures; buildings, or damage by degree."""
    find = Pictures(folder)
    for file in sorted(folder.rglob("*_pre_disaster.json")):
        name = file.name.removesuffix("_pre_disaster.json")
        pictures = tuple(find(f"{name}_{side}_disaster.png") for side in ("pre", "post"))
        if suite.task == "count":
            yield _counted(name, pictures[0], len(load(file)["features"]["xy"]), "buildings")
            continue
        after = load(file.with_name(f"{name}_post_disaster.json"))["features"]["xy"]
        counts = {"count_before": len(after), **dict.fromkeys(_DAMAGE.values(), 0)}
        for one in after:
            if degree := _DAMAGE.get(one["properties"].get("subtype", "")):
                counts[degree] += 1
        yield Item(name, pictures, {"answer": json.dumps(counts), "counts": counts})


def _counted(name: str, path: str, count: int, names: str) -> Item:
    return Item(name, (path,), {"count": count, "name": names}, {"names": names})


def table(file: Path) -> list[dict[str, str]]:
    """Rows of a CSV or TSV file under its header.

    Raises:
        AnnotationError: it is absent.
    """
    if not file.is_file():
        raise AnnotationError(f"{file}: no such table; is this the folder its authors pack?")
    with file.open(encoding="utf-8-sig", newline="") as stream:
        csv.field_size_limit(1 << 28)  # VLMEvalKit writes pictures into its tables
        return list(csv.DictReader(stream, delimiter="\t" if file.suffix == ".tsv" else ","))


def dior_rsvg(folder: Path, suite: Suite) -> Iterator[Item]:
    """DIOR-RSVG: objects numbered through all XML files by path; `<split>.txt` lists numbers.

    `options.disjoint` keeps expressions on pictures that no train or val number is on.
    """
    listed: dict[str, set[int]] = defaultdict(set)
    for split in ("train", "val", "test"):
        if (file := folder / f"{split}.txt").is_file():
            listed[split] = {int(number) for number in file.read_text().split()}
    wanted, found, seen, number = listed[suite.split or "test"], [], set(), 0
    for root, image in voc_images(folder):
        for place, one in enumerate(root.findall("object")):
            if number in listed["train"] | listed["val"]:
                seen.add(image.path)
            phrase = (one.findtext("description") or list(one)[-1].text or "").strip()
            truth = {"boxes": quads_of(image.boxes[place])}
            if number in wanted:
                words = {"phrase": phrase, "question": phrase}
                found.append(Item(str(number), (image.path,), truth, words, None, image.size_wh))
            number += 1
    return (one for one in found if not (suite.options.get("disjoint") and one.images[0] in seen))


for _layout in (images, fmow, bigearthnet, clips, captions, voc, cowc, animals, xbd, dior_rsvg):
    LAYOUTS.add(_layout.__name__.replace("_", "-"), _layout)
