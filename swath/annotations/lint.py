"""Lint: what is wrong or doubtful in a set of annotated images, found before any training."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from swath.annotations.finding_pictures import few
from swath.annotations.findings import UNREAD, Finding
from swath.annotations.fingerprints import Look, looks_of
from swath.annotations.image import AnnotatedImage, Question
from swath.annotations.leaks import copies, leaks
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


def lint(
    images: Sequence[AnnotatedImage], looks: Sequence[Look | str] | None = None
) -> list[Finding]:
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
        *_bad_boxes(images),
        *_empty_captions(images),
        *_bad_questions(images),
        *_faults(images),
        *_spellings(images),
        *_small_classes(images),
        *_no_licence(images),
    ]


def usable(image: AnnotatedImage) -> AnnotatedImage:
    """The image without what lint says is left out: boxes, captions and questions of no use."""
    kept = np.flatnonzero((image.boxes.areas > 0) & ~_wholly_outside(image))
    captions = tuple(one for one in image.captions if _WORD.search(one))
    questions = tuple(one for one in image.questions if not _problem(one))
    if (len(kept), len(captions), len(questions)) == (
        len(image.boxes),
        len(image.captions),
        len(image.questions),
    ):
        return image
    return replace(
        image,
        boxes=image.boxes[kept],
        names=tuple(image.names[row] for row in kept),
        phrases=tuple(image.phrases[row] for row in kept),
        captions=captions,
        questions=questions,
    )


def readable(
    images: Sequence[AnnotatedImage], findings: Sequence[Finding], policy: str
) -> tuple[AnnotatedImage, ...]:
    """The images that lint could decode; a sound header may stand before damaged pixels.

    Args:
        images: as linted.
        findings: of lint and the readers.
        policy: "refuse" raises, "drop" leaves the others out.

    Raises:
        AnnotationError: some are missing or damaged and the policy is to refuse, or all are.
    """
    bad = {finding.where: finding.what for finding in findings if finding.kind in UNREAD}
    left = tuple(image for image in images if image.id not in bad)
    if bad and (policy == "refuse" or not left):
        where, what = next(iter(bad.items()))
        raise AnnotationError(
            f"{len(bad)} of {len(bad) + len(left)} pictures missing or not readable, first {where} "
            f"({what}); `swath check` lists them. Copy them again, or leave them out with "
            f"annotations.unreadable=drop."
        )
    return left


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


def _unreadable(images: Sequence[AnnotatedImage], looks: Sequence[Look | str]) -> Iterator[Finding]:
    for image, seen in zip(images, looks, strict=True):
        if isinstance(seen, str):
            yield Finding("unreadable", image.id, seen, "copy it again, or remove it")


def _wholly_outside(image: AnnotatedImage) -> NDArray[np.bool_]:
    """(n,) whether a box shows nothing of the image."""
    hbb, (width, height) = image.boxes.hbb, image.size_wh
    edges = [hbb[:, 0] >= width, hbb[:, 1] >= height, hbb[:, 2] <= 0, hbb[:, 3] <= 0]
    return np.logical_or.reduce(edges)


def _bad_boxes(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    for image in images:
        if not len(image.boxes):
            continue
        beyond = np.maximum(-image.boxes.quads, image.boxes.quads - np.array(image.size_wh))
        allowed = max(1.0, OUTSIDE_SHARE * max(image.size_wh))
        outside = int((beyond.max(axis=(1, 2)) > allowed).sum())
        if outside:
            width, height = image.size_wh
            lost = int(_wholly_outside(image).sum())
            yield Finding(
                "box outside",
                image.id,
                f"{outside} of {len(image.boxes)} boxes reach up to {beyond.max():.0f} px beyond "
                f"the image of {width} x {height} px"
                + (f", {lost} lie wholly outside" if lost else ""),
                "check that boxes and picture have the same size, or clip the boxes",
                outside,
            )
        flat = int((image.boxes.areas <= 0).sum())
        if flat:
            yield Finding(
                "box without area",
                image.id,
                f"{flat} of {len(image.boxes)} boxes cover nothing",
                "correct or remove them",
                flat,
            )


def _empty_captions(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    for image in images:
        empty = [caption for caption in image.captions if not _WORD.search(caption)]
        if empty:
            yield Finding(
                "empty caption",
                image.id,
                f"{len(empty)} of {len(image.captions)} captions hold no word: {few(empty)!r}",
                "write a sentence, or remove the caption",
                len(empty),
            )


def _problem(one: Question) -> str:
    """The kind of finding that leaves a question out, "" for a sound one."""
    if not _WORD.search(one.question) or not one.answer.strip():
        return "empty question"
    return "missing noun" if lacks_noun(one.question) else ""


_QUESTIONS = {
    "empty question": (
        "questions ask nothing or have no answer",
        "write both, or remove the question",
    ),
    "missing noun": ("questions lack the word they ask for", "write it, or remove the question"),
}


def _bad_questions(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    for image in images:
        for kind, (what, action) in _QUESTIONS.items():
            bad = [one.question for one in image.questions if _problem(one) == kind]
            if bad:
                told = f"{len(bad)} of {len(image.questions)} {what}: {few(bad)!r}"
                yield Finding(kind, image.id, told, action, len(bad))


def _faults(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    """What readers noted, and boxes written in texts that no image can hold."""
    for image in images:
        texts = [text for one in image.questions for text in (one.question, one.answer)]
        texts += [*image.captions, *(phrase for phrase in image.phrases if phrase)]
        found: dict[str, list[str]] = defaultdict(list)
        for kind, what in (
            *image.faults,
            *(fault for text in texts for fault in text_faults(text)),
        ):
            found[kind].append(what)
        for kind, said in found.items():
            yield Finding(kind, image.id, few(said), "correct the row, or remove it", len(said))


def _spellings(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    """Classes of scenes, or of objects, that differ in case, punctuation or a plural only."""
    labels = Counter(image.label for image in images if image.label is not None)
    names = Counter(name for image in images for name in image.names)
    for counts in (labels, names):
        alike: dict[str, list[str]] = defaultdict(list)
        for name in counts:
            alike[re.sub(r"[\W_]", "", name.casefold())].append(name)
        for word in [*alike]:
            plurals = {f"{word}s", f"{word}es", f"{word.removesuffix('y')}ies"} - {word}
            alike[word] += [name for one in sorted(plurals) for name in alike.pop(one, ())]
        for spellings in alike.values():
            if len(spellings) > 1:
                said = [f"'{name}' ({counts[name]})" for name in spellings]
                yield Finding(
                    "spelling",
                    spellings[0],
                    f"one class spelled in {len(spellings)} ways: {few(said)}",
                    "rename all to one of them, as with annotations.classes",
                    sum(counts[name] for name in spellings),
                )


def _small_classes(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    counts = Counter(image.label for image in images if image.label is not None)
    for label, count in counts.items():
        if count < SMALL_CLASS:
            yield Finding(
                "small class",
                label,
                f"{count} image{'s' if count > 1 else ''} only",
                f"add images up to {SMALL_CLASS} or more, merge the class or leave it out",
                count,
            )


def _no_licence(images: Sequence[AnnotatedImage]) -> Iterator[Finding]:
    counts = Counter(image.source or "(no source)" for image in images if not image.licence)
    for source, count in counts.items():
        yield Finding(
            "no licence",
            source,
            f"{count} images state no licence",
            "find out whether the model may be shared before sharing it, and say it in "
            "annotations.licence",
            count,
        )
