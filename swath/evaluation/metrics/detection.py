"""Mean average precision of detections: COCO's rule, and that of DOTA's oriented task.

Language models give no scores; with all scores alike the order of the list decides, so report
precision, recall and F1 first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from swath.boxes import Boxes
from swath.errors import ShapeError
from swath.evaluation.metrics import matching

AREAS = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
"""Square pixels of COCO's sizes; both ends belong to a size."""

_LEAST = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Objects:
    """Objects that were found, or that are there.

    Args:
        images: the image of each.
        names: the class of each.
        boxes: where it is, pixels of its image.
        scores: how sure; of found objects.
        difficult: of true ones: neither finding nor missing it counts (DOTA); or a crowd (COCO),
            which any number of found boxes may lie in.
        areas: of true ones, square pixels, by which COCO tells their size; nothing: the boxes'.

    Raises:
        ShapeError: they differ in length.
    """

    images: Sequence[str]
    names: Sequence[str]
    boxes: Boxes
    scores: Sequence[float] = ()
    difficult: Sequence[bool] = ()
    areas: Sequence[float] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.images), len(self.names), len(self.boxes)}
        lengths |= {len(some) for some in (self.scores, self.difficult, self.areas) if len(some)}
        if len(lengths) > 1:
            raise ShapeError(f"objects need a value each, got {sorted(lengths)} of them.")

    def of(self, name: str) -> dict[str, NDArray[np.int64]]:
        """Rows of one class by image, best score first, then in order."""
        rows = self._rows.get(name, [])
        if len(self.scores):
            rows = sorted(rows, key=lambda row: -self.scores[row])
        found: dict[str, list[int]] = {}
        for row in rows:
            found.setdefault(self.images[row], []).append(row)
        return {image: np.array(some) for image, some in found.items()}

    @cached_property
    def _rows(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(self.names):
            rows.setdefault(name, []).append(row)
        return rows


def coco(found: Objects, truth: Objects) -> dict[str, float]:
    """AP and AR of horizontal boxes as pycocotools prints them, -1 where nothing is there.

    Args:
        found: with scores.
        truth: what is there.
    """
    names = sorted(set(truth.names))
    images = sorted({*found.images, *truth.images})
    tables = {
        (size, most): [_coco_class(found, truth, name, images, size, most) for name in names]
        for size, most in (("all", 1), ("all", 10), *((size, 100) for size in AREAS))
    }

    def mean(size: str, most: int, part: int, least: slice = slice(None)) -> float:
        values = [table[part][least] for table in tables[size, most] if table is not None]
        return float(np.mean(values)) if values else -1.0

    scores = {"AP": mean("all", 100, 0)}
    scores |= {
        f"AP{100 * t:.0f}": mean("all", 100, 0, slice(k, k + 1)) for k, t in ((0, 0.5), (5, 0.75))
    }
    scores |= {f"AP_{size}": mean(size, 100, 0) for size in ("small", "medium", "large")}
    scores |= {f"AR_{most}": mean("all", most, 1) for most in (1, 10, 100)}
    return scores | {f"AR_{size}": mean(size, 100, 1) for size in ("small", "medium", "large")}


def coco_per_class(found: Objects, truth: Objects) -> dict[str, float]:
    """COCO's AP of each class at IoU 0.5."""
    images = sorted({*found.images, *truth.images})
    tables = {
        name: _coco_class(found, truth, name, images, "all", 100)
        for name in sorted(set(truth.names))
    }
    return {name: float(t[0][0].mean()) for name, t in tables.items() if t is not None}


def _coco_class(
    found: Objects, truth: Objects, name: str, images: Sequence[str], size: str, most: int
) -> tuple[Floats, Floats] | None:
    """Precision at each recall, (10, 101), and recall, (10,), at each IoU; None without truths."""
    low, high = AREAS[size]
    answered, there = found.of(name), truth.of(name)
    none = np.zeros(0, dtype=np.int64)
    hits, ignored, scores, number = [], [], [], 0
    crowds, own, others = _hard(truth), truth.boxes.areas, found.boxes.areas
    every = np.array(truth.areas) if len(truth.areas) else own
    for image in images:
        if image not in answered and image not in there:
            continue
        mine, theirs = answered.get(image, none)[:most], there.get(image, none)
        areas = own[theirs]
        crowd, sizes = crowds[theirs], every[theirs]
        skipped = (sizes < low) | (sizes > high) | crowd
        order = np.argsort(skipped, kind="stable")  # what does not count is matched last
        overlap = np.zeros((len(mine), len(theirs)))
        if overlap.size:
            overlap = matching.overlaps(found.boxes[mine], truth.boxes[theirs[order]], upright=True)
        aside = others[mine]
        if crowd.any():  # of these the share of the found box, from IoU and areas
            shared = overlap / (1 + overlap) * (aside[:, None] + areas[order])
            within = np.divide(shared, aside[:, None], out=shared, where=aside[:, None] > 0)
            overlap = np.where(crowd[order], within, overlap)
        matched = _coco_matches(overlap, skipped[order], crowd[order])  # (10, mine)
        outside = (aside < low) | (aside > high)
        hits.append(matched == 1)
        ignored.append((matched == 2) | (matched == 0) & outside)
        scores += [found.scores[row] for row in mine]
        number += int((~skipped).sum())
    if not number:
        return None
    order = np.argsort(-np.array(scores), kind="stable")
    hit, skip = (np.concatenate(some, axis=1)[:, order] for some in (hits, ignored))
    right = np.cumsum(hit & ~skip, axis=1, dtype=np.float64)
    wrong = np.cumsum(~hit & ~skip, axis=1, dtype=np.float64)
    precision, recall = np.zeros((len(_LEAST), len(_RECALLS))), np.zeros(len(_LEAST))
    for row, (tp, fp) in enumerate(zip(right, wrong, strict=True)):
        if not len(tp):
            continue
        reached, share = tp / number, tp / (fp + tp + np.spacing(1))
        recall[row] = reached[-1]
        share = np.maximum.accumulate(share[::-1])[::-1]
        places = np.searchsorted(reached, _RECALLS, side="left")
        precision[row, places < len(share)] = share[places[places < len(share)]]
    return precision, recall


def _coco_matches(overlap: Floats, skipped: Flags, crowd: Flags) -> NDArray[np.int64]:
    """What each found box is at each IoU, (10, found): 0 nothing, 1 a truth, 2 a skipped one."""
    matched = np.zeros((len(_LEAST), len(overlap)), dtype=np.int64)
    most = overlap.max(axis=1, initial=0.0)
    if most.max(initial=0.0) < _LEAST[0]:
        return matched
    for row, least in enumerate(_LEAST):
        free = np.ones(len(skipped), dtype=bool)
        for mine in np.flatnonzero(most >= least):
            values = overlap[mine]
            best, place = min(least, 1 - 1e-10), -1
            for theirs in np.flatnonzero(free).tolist():
                if place >= 0 and skipped[theirs] and not skipped[place]:
                    break
                if values[theirs] >= best:
                    best, place = values[theirs], theirs
            if place >= 0:
                free[place] = crowd[place]
                matched[row, mine] = 2 if skipped[place] else 1
    return matched


def _hard(truth: Objects) -> Flags:
    return np.array(truth.difficult if len(truth.difficult) else [False] * len(truth.boxes), bool)


@dataclass(frozen=True)
class Average:
    """One class: its average precision, and precision and recall of all that was found."""

    ap: float
    precision: float
    recall: float


def dota(
    found: Objects, truth: Objects, least: float = 0.5, eleven: bool = True
) -> dict[str, Average]:
    """Average precision of oriented boxes by class, as DOTA's task 1; the mean is its mAP.

    A found box belongs to the truth it overlaps most, which must be by more than `least`; a truth
    that is taken makes it wrong, a difficult one leaves it out.

    Args:
        found: with scores.
        truth: what is there.
        least: IoU that must be exceeded.
        eleven: precision at recalls 0, 0.1, ..., 1 (VOC 2007), as the official script has it;
            otherwise the whole area.
    """
    return {
        name: _dota_class(found, truth, name, least, eleven) for name in sorted(set(truth.names))
    }


def _dota_class(found: Objects, truth: Objects, name: str, least: float, eleven: bool) -> Average:
    there = truth.of(name)
    hard = _hard(truth)
    rows = np.array([r for r, one in enumerate(found.names) if one == name], dtype=np.int64)
    rows = rows[np.argsort([-found.scores[row] for row in rows], kind="stable")]
    taken: set[int] = set()
    kinds = []  # 1 right, 0 wrong, -1 left out
    for row in rows:
        theirs = there.get(found.images[row], np.zeros(0, dtype=np.int64))
        overlap = matching.overlaps(found.boxes[row], truth.boxes[theirs])[0]
        place = int(theirs[np.argmax(overlap)]) if len(theirs) and overlap.max() > least else -1
        kinds.append(-1 if place >= 0 and hard[place] else int(place >= 0 and place not in taken))
        taken.add(place)
    kind = np.array(kinds)
    right, wrong = np.cumsum(kind == 1), np.cumsum(kind == 0)
    number = int(sum((~hard[some]).sum() for some in there.values()))
    recall = right / max(number, 1)
    precision = right / np.maximum(right + wrong, np.finfo(np.float64).eps)
    ends = (float(some[-1]) if len(some) else 0.0 for some in (precision, recall))
    return Average(_area(recall, precision, eleven), *ends)


def _area(recall: Floats, precision: Floats, eleven: bool) -> float:
    if eleven:
        steps = [precision[recall >= t].max(initial=0.0) for t in np.arange(0.0, 1.1, 0.1)]
        return float(np.mean(steps))
    recall, precision = np.r_[0.0, recall, 1.0], np.r_[0.0, precision, 0.0]
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * precision[1:]).sum())
