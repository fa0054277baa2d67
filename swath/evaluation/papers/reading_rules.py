"""Answers read as published scoring code reads them, oddities included.

Only the named modes of `modes` use these; what a strict reader makes of an answer is in `reading`.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Sequence
from typing import Any

_FENCED = re.compile(r"```json\s*(.*?)\s*```", re.DOTALL)
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_LIST = re.compile(rf"\[{','.join([_NUMBER] * 4)}\]")
_QWEN = re.compile(r"<box>\((\d+),(\d+)\),\((\d+),(\d+)\)</box>")
_SMALL = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
LARGEST = 10**15
"""Numbers from here on are none: a model has repeated a digit until it was stopped."""
DAMAGE = ("count_before", "no_damage", "minor_damage", "major_damage", "destroyed")
"""What an answer about a disaster counts."""


def cookbook_label(answer: str) -> str | None:
    """The label of the first ```json block, which must hold two strings; None without one."""
    found = _FENCED.search(answer)
    try:
        value = json.loads(found.group(1)) if found else None
    except (ValueError, RecursionError):
        return None
    fields = ("image_description", "label")
    if not isinstance(value, dict) or not all(isinstance(value.get(f), str) for f in fields):
        return None
    return str(value["label"])


def vleo_label(answer: str, labels: Sequence[str]) -> str | None:
    """The first label, in the order of the list, that is a part of the answer."""
    lower = answer.lower()
    return next((label for label in labels if label.lower() in lower), None)


def vleo_refused(answer: str, label: str | None) -> bool:
    """Whether vleo-bench counts a refusal: an apology that names a label all the same."""
    return label is not None and ("sorry" in answer or "difficult" in answer)


def vleo_count(answer: str) -> int | None:
    """The first digits once "zero" to "ten" are digits wherever they stand: "someone" is 1."""
    text = answer.lower()
    for value, word in enumerate(_SMALL):
        text = text.replace(word, str(value))
    found = re.search(r"\d+", text)
    return int(found.group()) if found and _sane(found.group()) else None


def vleo_box(answer: str) -> list[float] | None:
    """The first list of four numbers, pixels."""
    found = _LIST.search(answer)
    return (
        [float(number) for number in found.groups()] if found and _sane(*found.groups()) else None
    )


def vleo_qwen_box(answer: str, size_wh: tuple[int, int]) -> list[float] | None:
    """The one `<box>`, 0 to 1000, cut to whole pixels; None if there are several."""
    found = _QWEN.findall(answer)
    if len(found) != 1 or not _sane(*found[0]):
        return None
    return [float(int(int(n) / 1000 * size_wh[i % 2])) for i, n in enumerate(found[0])]


def vrsbench_box(answer: str) -> list[float] | None:
    """The first four runs of digits, wherever they stand, 0 to 100."""
    found = re.findall(r"\d+", answer)[:4]
    return [float(number) for number in found] if len(found) == 4 and _sane(*found) else None


def _sane(*numbers: str) -> bool:
    """Whether all are numbers that an answer may mean."""
    return all(abs(float(number)) < LARGEST for number in numbers)


def squeezed(text: str) -> str:
    """Lower case without spaces and full stops, as GeoChat's script compares answers."""
    return text.replace(" ", "").lower().replace(".", "")


def unpunctuated(text: str) -> str:
    """Lower case without punctuation, as TEOChat compares answers."""
    return text.lower().translate(str.maketrans("", "", string.punctuation))


def earthdial_recall(answer: str, truth: str) -> float:
    """Share of the truth's different tokens that the answer has, both without spaces."""
    found, wanted = (
        set(re.findall(r"\w+|[^\w\s]", text.replace(" ", "").lower())) for text in (answer, truth)
    )
    return len(found & wanted) / len(wanted) if wanted else 0.0


def rsvqa_label(answer: str, ranges: bool) -> str:
    """An answer in RSVQA's vocabulary: areas, and with `ranges` counts, become ranges."""
    text = answer[:-1] if answer[-1:] in ("?", ".") else answer
    return " ".join(_in_range(word, ranges) for word in text.lower().split())


def _in_range(word: str, ranges: bool) -> str:
    unit = "m2" if word.endswith("m2") else ""
    digits = word.removesuffix("m2")
    if not digits.isdecimal() or not (unit or ranges):
        return word
    value = float(digits)
    if value == 0:
        return word
    for low, high in ((0, 10), (10, 100), (100, 1000)):
        if value <= high:
            return f"between {low}{unit} and {high}{unit}"
    return f"more than 1000{unit}"


def vleo_damage(answer: str) -> dict[str, int] | None:
    """Counts of buildings from the outermost braces, keys by parts of their names.

    "no" is a part of "minor_damage" as well, so that count overwrites the undamaged.
    """
    value = _object(answer)
    if value is None:
        return None
    found: dict[str, int] = {}
    try:
        for key, number in value.items():
            for field, part in zip(
                DAMAGE, ("before", "no", "minor", "major", "destroyed"), strict=True
            ):
                if part in key.lower():
                    found[field] = int(number)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if _sane(*map(str, found.values())) else None


def _object(answer: str) -> dict[str, Any] | None:
    first, last = answer.find("{"), answer.rfind("}")
    try:
        value = json.loads(answer[first : last + 1]) if 0 <= first < last else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def strict_damage(answer: str) -> dict[str, int] | None:
    """Counts of buildings: an object of exactly the five fields, whole and not negative."""
    value = _object(answer)
    if value is None or value.keys() != set(DAMAGE):
        return None
    sound = all(type(number) is int and 0 <= number < LARGEST for number in value.values())
    return {field: value[field] for field in DAMAGE} if sound else None
