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
from swath.annotations.image import AnnotatedImage, Dialogue, Images, Question
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
_CORRECT = "correct or remove them; pixels are expected, not shares of the picture's size"
_GRID = 100  # of GeoChat's and MiniGPT-v2's box text


def lint(images: Images, looks: Sequence[Look | str] | None = None) -> list[Finding]:
    """What to look at in a set, gravest first: leaks, bad files, bad rows, then the set at large.

    Sequences look alike if their first frames do. Kinds:
    "leak", "split scene", "overlap", "near duplicate", "unreadable", "two labels", "duplicate",
    "box outside", "box without area", "box without class", "box twice", "empty caption",
    "empty question", "missing noun", "angle out of range", "beyond the grid", "spelling", "small
    class", "no licence", and those of the images' own `faults`.

    Args:
        images: the set, split or not.
        looks: of `looks_of`; None: taken here.
    """
    if looks is None:
        looks = looks_of(images)
    findings = [*leaks(images, looks), *_unreadable(images, looks), *copies(images, looks)]
    for look_through in (_bad_boxes, _bad_words, _faults):
        for image in images:
            findings += look_through(image)
    return [*findings, *_spellings(images), *_small_classes(images), *_no_licence(images)]


def usable(image: AnnotatedImage) -> AnnotatedImage:
    """The image without what lint says is left out: boxes, captions, questions, dialogues.

    Where an object has no box of use, its classes are no longer `listed`: nobody could count them.
    """
    unfit = _too_small(image) | _wholly_outside(image) | _nameless(image)
    shown = np.flatnonzero(~unfit & ~_repeated(image)).tolist()
    if len(shown) < len(image.boxes):
        image = some_objects(image, shown, listed=() if unfit.any() else image.listed)
    captions = tuple(caption for caption in image.captions if _WORD.search(caption))
    questions = tuple(question for question in image.questions if not _problem(question))
    dialogues = tuple(dialogue for dialogue in image.dialogues if _answered(dialogue))
    texts = replace(image, captions=captions, questions=questions, dialogues=dialogues)
    fields = ("captions", "questions", "dialogues")
    changed = any(len(getattr(texts, name)) < len(getattr(image, name)) for name in fields)
    return texts if changed else image


def _answered(dialogue: Dialogue) -> bool:
    return all(answer.strip() for _, answer in dialogue)


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
        where, reason = next(iter(bad.items()))
        raise AnnotationError(
            f"{len(bad)} of {len(bad) + len(sound)} pictures missing or not readable, first "
            f"{where} ({reason}); `swath check` lists them. Copy them again, or leave them out "
            f"with annotations.unreadable=drop."
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
    for image, look in zip(images, looks, strict=True):
        if isinstance(look, str):
            yield Finding("unreadable", image.id, look, "copy it again, or remove it")


def _wholly_outside(image: AnnotatedImage) -> Flags:
    """(n,) whether a box shows nothing of the image."""
    hbb = image.boxes.hbb
    width, height = image.size_wh
    edges = [hbb[:, 0] >= width, hbb[:, 1] >= height, hbb[:, 2] <= 0, hbb[:, 3] <= 0]
    return np.logical_or.reduce(edges)


def _too_small(image: AnnotatedImage) -> Flags:
    """(n,) whether a box covers nothing, or lies within a pixel each way."""
    sides = np.ptp(image.boxes.quads, axis=1)  # (n, 2)
    return (image.boxes.areas <= 0) | (sides < 1).all(axis=1)


def _nameless(image: AnnotatedImage) -> Flags:
    """(n,) whether a box is of no class."""
    return np.array([not name.strip() for name in image.names], dtype=bool)


def _repeated(image: AnnotatedImage) -> Flags:
    """(n,) whether an earlier box has the same corners, class and phrase."""
    earlier: set[object] = set()
    repeated = []
    quads = image.boxes.quads.tolist()
    for quad, name, phrase in zip(quads, image.names, image.phrases, strict=True):
        key = (frozenset(map(tuple, quad)), name, phrase)
        repeated.append(key in earlier)
        earlier.add(key)
    return np.array(repeated, dtype=bool)


def _bad_boxes(image: AnnotatedImage) -> Iterator[Finding]:
    boxes, count = image.boxes, len(image.boxes)
    if not count:
        return
    width, height = image.size_wh
    beyond = np.maximum(-boxes.quads, boxes.quads - np.array([width, height]))
    allowed = max(1.0, OUTSIDE_SHARE * max(width, height))
    outside = int((beyond.max(axis=(1, 2)) > allowed).sum())
    if outside:
        words = f"{outside} of {count} boxes reach up to {beyond.max():.0f} px beyond the image "
        words += f"of {width} x {height} px"
        lost = int(_wholly_outside(image).sum())
        if lost:
            words += f", {lost} lie wholly outside"
        action = "check that boxes and picture have the same size, or clip the boxes"
        yield Finding("box outside", image.id, words, action, outside)
    for kind, is_bad, words, action in (
        ("box without area", _too_small, "cover nothing, or less than a pixel", _CORRECT),
        ("box without class", _nameless, "have no class", "name it, or remove them"),
        ("box twice", _repeated, "are written twice", "remove one, or see that it is meant so"),
    ):
        number = int(is_bad(image).sum())
        if number:
            yield Finding(kind, image.id, f"{number} of {count} boxes {words}", action, number)


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
    for kind, (words, action) in _WORDS.items():
        bad = texts[kind]
        if bad:
            total = len(image.captions if kind == "empty caption" else image.questions)
            counted = f"{len(bad)} of {total} {words}: {few(bad)!r}"
            yield Finding(kind, image.id, counted, action, len(bad))


def _faults(image: AnnotatedImage) -> Iterator[Finding]:
    """What readers noted, and boxes written in texts that no image can hold."""
    texts = [*image.captions, *filter(None, image.phrases)]
    for question in image.questions:
        texts += [question.question, question.answer]
    faults: dict[str, list[str]] = defaultdict(list)
    for kind, words in (*image.faults, *chain.from_iterable(map(text_faults, texts))):
        faults[kind].append(words)
    for kind, of_kind in faults.items():
        action = "correct the row, or remove it"
        yield Finding(kind, image.id, few(of_kind), action, len(of_kind))


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
            if len(spellings) < 2:
                continue
            counted = few([f"'{name}' ({counts[name]})" for name in spellings])
            words = f"one class spelled in {len(spellings)} ways: {counted}"
            action = "rename all to one of them, as with annotations.classes"
            total = sum(counts[name] for name in spellings)
            yield Finding("spelling", spellings[0], words, action, total)


def _labels(images: Images) -> Counter[str]:
    return Counter(image.label for image in images if image.label is not None)


def _small_classes(images: Images) -> Iterator[Finding]:
    action = f"add images up to {SMALL_CLASS} or more, merge the class or leave it out"
    for label, count in _labels(images).items():
        if count < SMALL_CLASS:
            words = f"{count} image{'s' if count > 1 else ''} only"
            yield Finding("small class", label, words, action, count)


def _no_licence(images: Images) -> Iterator[Finding]:
    action = "find out whether the model may be shared, and say it in annotations.licence"
    counts = Counter(image.source or "(no source)" for image in images if not image.licence)
    for source, count in counts.items():
        words = f"{count} images state no licence"
        yield Finding("no licence", source, words, action, count)
