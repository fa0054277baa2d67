"""Lint: what is wrong or doubtful in a set of annotated images, found before any training."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from swath.annotations.finding_pictures import few
from swath.annotations.findings import UNREAD, Finding
from swath.annotations.fingerprints import Look, looks_of
from swath.annotations.image import AnnotatedImage, Images, Question
from swath.annotations.leaks import copies, leaks
from swath.annotations.parsing import some_objects
from swath.boxes import Flags
from swath.errors import AnnotationError

__all__ = ["Finding", "lint", "looks_of", "readable", "text_faults", "usable"]

SMALL_CLASS = 5
"""A class with fewer images is pointed out."""

OUTSIDE_SHARE = 0.02
"""Share of the longer side that a corner may reach beyond: an oriented box of an object at the
border does."""

_WORD = re.compile(r"[^\W\d_]")
_MISSING_NOUN = re.compile(
    r"\b(?:many|much|more|less|an?|any|the|of)\s{2,}(?:in|on|at|is|are|of|than|and|or|there|this)\b"
    r"|\b(?:many|an?|the|of)\s*\?|\bthe\s+(?:in|on|at|is|are|than)\b"
    r"|\bmany\s+(?:are\s+there\s+)?(?:in|on|at)\b",
    re.IGNORECASE,
)
_BOX_TEXT = re.compile(r"\{((?:<-?\d+(?:\.\d+)?>){4})(?:\|<(-?\d+(?:\.\d+)?)>)?\}")
_GRID = 100  # of GeoChat's and MiniGPT-v2's box text


def lint(images: Images, looks: Sequence[Look | str] | None = None) -> list[Finding]:
    """What to look at in a set, gravest first: leaks, bad files, bad rows, then the set at large.

    Sequences look alike if their first frames do. Kinds:
    "leak", "split scene", "overlap", "near duplicate", "unreadable", "two labels", "duplicate",
    "box outside", "box without area", "empty caption", "empty question", "missing noun",
    "angle out of range", "beyond the grid", "spelling", "small class", "no licence", and those of
    the images' own `faults`.

    Args:
        images: the set, split or not.
        looks: of `looks_of`; None: taken here.
    """
    if looks is None:
        looks = looks_of(images)
    return [
        *leaks(images, looks),
        *_unreadable(images, looks),
        *copies(images, looks),
        *(finding for image in images for finding in _bad_boxes(image)),
        *(finding for image in images for finding in _bad_words(image)),
        *(finding for image in images for finding in _faults(image)),
        *_spellings(images),
        *_small_classes(images),
        *_no_licence(images),
    ]


def usable(image: AnnotatedImage) -> AnnotatedImage:
    """The image without what lint says is left out: boxes, captions and questions of no use."""
    shown = np.flatnonzero((image.boxes.areas > 0) & ~_wholly_outside(image)).tolist()
    if len(shown) < len(image.boxes):
        image = some_objects(image, shown)
    captions = tuple(filter(_WORD.search, image.captions))
    questions = tuple(question for question in image.questions if not _problem(question))
    if (len(captions), len(questions)) != (len(image.captions), len(image.questions)):
        image = replace(image, captions=captions, questions=questions)
    return image


def readable(
    images: Images, findings: Sequence[Finding], policy: str
) -> tuple[AnnotatedImage, ...]:
    """The images that lint could decode; a sound header may stand before damaged pixels.

    Args:
        findings: of lint and the readers.
        policy: "refuse" raises, "drop" leaves the others out.

    Raises:
        AnnotationError: some are missing or damaged and the policy is to refuse, or all are.
    """
    bad = {finding.where: finding.what for finding in findings if finding.kind in UNREAD}
    sound = tuple(image for image in images if image.id not in bad)
    if bad and (policy == "refuse" or not sound):
        where, what = next(iter(bad.items()))
        raise AnnotationError(
            f"{len(bad)} of {len(bad) + len(sound)} pictures missing or not readable, first "
            f"{where} ({what}); `swath check` lists them. Copy them again, or leave them out with "
            f"annotations.unreadable=drop."
        )
    return sound


def lacks_noun(question: str) -> bool:
    """Whether a question lacks the word it asks for; two blanks in a row tell more than one."""
    return bool(_MISSING_NOUN.search(question))


def text_faults(text: str) -> list[tuple[str, str]]:
    """Kind and words of what is wrong with boxes written as `{<x1><y1><x2><y2>|<angle>}`.

    Coordinates count from 0 to 100 and angles from 0 to 360 degrees.
    """
    faults = []
    for box in _BOX_TEXT.finditer(text):
        corners = [float(value) for value in re.findall(r"<([^>]+)>", box[1])]
        if box[2] and not 0 <= float(box[2]) <= 360:
            faults.append(("angle out of range", f"angle {box[2]} in {box[0]}"))
        if min(corners) < 0 or max(corners) > _GRID:
            faults.append(("beyond the grid", f"{box[0]} leaves 0 to {_GRID}"))
        if corners[0] >= corners[2] or corners[1] >= corners[3]:
            faults.append(("box without area", f"{box[0]} covers nothing"))
    return faults


def _unreadable(images: Images, looks: Sequence[Look | str]) -> Iterator[Finding]:
    for image, seen in zip(images, looks, strict=True):
        if isinstance(seen, str):
            yield Finding("unreadable", image.id, seen, "copy it again, or remove it")


def _wholly_outside(image: AnnotatedImage) -> Flags:
    """(n,) whether a box shows nothing of the image."""
    hbb, (width, height) = image.boxes.hbb, image.size_wh
    edges = [hbb[:, 0] >= width, hbb[:, 1] >= height, hbb[:, 2] <= 0, hbb[:, 3] <= 0]
    return np.logical_or.reduce(edges)


def _bad_boxes(image: AnnotatedImage) -> Iterator[Finding]:
    boxes, count = image.boxes, len(image.boxes)
    if not count:
        return
    beyond = np.maximum(-boxes.quads, boxes.quads - np.array(image.size_wh))
    allowed = max(1.0, OUTSIDE_SHARE * max(image.size_wh))
    outside = int((beyond.max(axis=(1, 2)) > allowed).sum())
    if outside:
        width, height = image.size_wh
        lost = int(_wholly_outside(image).sum())
        what = (
            f"{outside} of {count} boxes reach up to {beyond.max():.0f} px beyond the image of "
            f"{width} x {height} px" + (f", {lost} lie wholly outside" if lost else "")
        )
        action = "check that boxes and picture have the same size, or clip the boxes"
        yield Finding("box outside", image.id, what, action, outside)
    flat = int((boxes.areas <= 0).sum())
    if flat:
        what = f"{flat} of {count} boxes cover nothing"
        yield Finding("box without area", image.id, what, "correct or remove them", flat)


def _problem(question: Question) -> str:
    """The kind of finding that leaves a question out, "" for a sound one."""
    if not _WORD.search(question.question) or not question.answer.strip():
        return "empty question"
    return "missing noun" if lacks_noun(question.question) else ""


_WORDS = {
    "empty caption": ("captions hold no word", "write a sentence, or remove the caption"),
    "empty question": (
        "questions ask nothing or have no answer",
        "write both, or remove the question",
    ),
    "missing noun": ("questions lack the word they ask for", "write it, or remove the question"),
}


def _bad_words(image: AnnotatedImage) -> Iterator[Finding]:
    """Captions without words, and questions that cannot be answered."""
    texts: dict[str, list[str]] = defaultdict(list)
    texts["empty caption"] = [text for text in image.captions if not _WORD.search(text)]
    for question in image.questions:
        texts[_problem(question)].append(question.question)
    for kind, (what, action) in _WORDS.items():
        if bad := texts[kind]:
            total = len(image.captions if kind == "empty caption" else image.questions)
            counted = f"{len(bad)} of {total} {what}: {few(bad)!r}"
            yield Finding(kind, image.id, counted, action, len(bad))


def _faults(image: AnnotatedImage) -> Iterator[Finding]:
    """What readers noted, and boxes written in texts that no image can hold."""
    texts = [*image.captions, *filter(None, image.phrases)]
    for question in image.questions:
        texts += [question.question, question.answer]
    faults: dict[str, list[str]] = defaultdict(list)
    for kind, what in (*image.faults, *chain.from_iterable(map(text_faults, texts))):
        faults[kind].append(what)
    for kind, whats in faults.items():
        yield Finding(kind, image.id, few(whats), "correct the row, or remove it", len(whats))


def _spellings(images: Images) -> Iterator[Finding]:
    """Classes of scenes, or of objects, that differ in case, punctuation or a plural only."""
    names = Counter(name for image in images for name in image.names)
    for counts in (_labels(images), names):
        alike: dict[str, list[str]] = defaultdict(list)
        for name in counts:
            alike[re.sub(r"[\W_]", "", name.casefold())].append(name)
        for word in [*alike]:
            for plural in sorted({f"{word}s", f"{word}es", f"{word.removesuffix('y')}ies"}):
                alike[word] += alike.pop(plural, []) if plural != word else []
        for spellings in alike.values():
            if len(spellings) > 1:
                counted = few([f"'{name}' ({counts[name]})" for name in spellings])
                what = f"one class spelled in {len(spellings)} ways: {counted}"
                action = "rename all to one of them, as with annotations.classes"
                total = sum(counts[name] for name in spellings)
                yield Finding("spelling", spellings[0], what, action, total)


def _labels(images: Images) -> Counter[str]:
    return Counter(image.label for image in images if image.label is not None)


def _small_classes(images: Images) -> Iterator[Finding]:
    action = f"add images up to {SMALL_CLASS} or more, merge the class or leave it out"
    for label, count in _labels(images).items():
        if count < SMALL_CLASS:
            what = f"{count} image{'s' if count > 1 else ''} only"
            yield Finding("small class", label, what, action, count)


def _no_licence(images: Images) -> Iterator[Finding]:
    action = "find out whether the model may be shared, and say it in annotations.licence"
    counts = Counter(image.source or "(no source)" for image in images if not image.licence)
    for source, count in counts.items():
        what = f"{count} images state no licence"
        yield Finding("no licence", source, what, action, count)
