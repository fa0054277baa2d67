"""Tasks about two dates: which objects only both of them show, and buildings by their damage."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from swath.annotations.formats.masks import CHANGE
from swath.annotations.image import AnnotatedImage
from swath.instructions.conversation import Conversation, assistant
from swath.instructions.tasks.base import Fact, Setting, ask_fact
from swath.instructions.tasks.truths import DamageTruth

DAMAGE = ("count_before", "no_damage", "minor_damage", "major_damage", "destroyed")
"""Keys of an answer about damage, as vleo-bench counts xBD's buildings."""

_BUILDING = " building"


def of_both_dates(name: str) -> bool:
    """Whether a class of objects is one that a single date does not show: change, or damage."""
    return name == CHANGE or _key(name.removesuffix(_BUILDING)) in DAMAGE


def damage(image: AnnotatedImage, setting: Setting, rng: random.Random) -> Iterator[Conversation]:
    """How many buildings there were, and how many are damaged how much."""
    damaged = any(name != CHANGE and of_both_dates(name) for name in image.names)
    if len(image.frames) != 2 or not damaged:
        return
    degrees = [name.removesuffix(_BUILDING) for name in image.names]
    counts = damage_counts(degrees)
    fact = Fact(DamageTruth(counts))
    answer = assistant(damage_text(counts))
    yield ask_fact(image, "damage", setting, rng, fact, answer, all_frames=True)


def damage_counts(degrees: Iterable[str]) -> dict[str, int]:
    """How many buildings there are, and of each degree in xBD's words, as "no-damage"."""
    keys = [_key(degree) for degree in degrees]
    counts = {"count_before": len(keys)}
    for degree in DAMAGE[1:]:
        counts[degree] = keys.count(degree)
    return counts


def damage_text(counts: Mapping[str, int]) -> str:
    """An answer about damage, its keys in the order of `DAMAGE`."""
    return json.dumps({key: counts[key] for key in DAMAGE})


def damage_schema() -> dict[str, Any]:
    """The JSON schema of an answer about damage."""
    count = {"type": "integer", "minimum": 0}
    properties = dict.fromkeys(DAMAGE, count)
    closed = {"required": list(DAMAGE), "additionalProperties": False}
    return {"type": "object", "properties": properties, **closed}


def _key(degree: str) -> str:
    return degree.replace("-", "_")
