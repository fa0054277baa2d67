"""`Finding`: one row of what `swath check` has to say, and what swath does about it."""

from __future__ import annotations

from dataclasses import dataclass

LEAKS = ("leak", "split scene", "overlap")
"""Kinds that put what is tested into what is trained on."""

UNREAD = ("missing picture", "unreadable")
"""Kinds of which no pixel can be seen."""

_REFUSED = "building is refused unless annotations.allow_leakage is true, which reports repeat"
_LEFT_OUT = "left out"
_KEPT = "kept as it is"
EFFECTS = {
    **dict.fromkeys(LEAKS, _REFUSED),
    **dict.fromkeys(
        UNREAD, "building is refused, or it is left out with annotations.unreadable=drop"
    ),
    "box outside": "a box wholly outside is left out; others are cut at the border where written",
    "box without area": _LEFT_OUT,
    "box without class": _LEFT_OUT,
    "box twice": "counted once",
    "empty caption": _LEFT_OUT,
    "empty question": _LEFT_OUT,
    "missing noun": _LEFT_OUT,
    "angle out of range": "kept: whole turns change nothing",
    "beyond the grid": "kept, and cut at the border where written",
    "moved together": "dealt to one split",
    "unused": "kept in images.jsonl, and no part of any conversation",
    "no licence": "kept; the cards say that its use has to be asked for",
}
"""What swath does by itself about a kind of finding; it keeps the others as they are."""


@dataclass(frozen=True)
class Finding:
    """One thing to look at.

    Args:
        kind: what sort of thing; the same words for the same sort.
        where: the image's id, the class or the source it is about.
        what: what is wrong there.
        action: what to do about it.
        count: how many rows, boxes or images it is about.
    """

    kind: str
    where: str
    what: str
    action: str
    count: int = 1
    effect: str = ""

    def __post_init__(self) -> None:
        if not self.effect:
            object.__setattr__(self, "effect", EFFECTS.get(self.kind, _KEPT))
