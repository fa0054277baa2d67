"""Answers read as published scoring code reads them, oddities included.

Only the named modes of `modes` use these; what a strict reader makes of an answer is in `reading`.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterable, Sequence
from typing import Any

from swath.boxes import Size
from swath.files import Json
from swath.instructions.tasks.pairs import DAMAGE as DAMAGE

_FENCED = re.compile(r"```json\s*(.*?)\s*```", re.DOTALL)
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_LIST = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")
_QWEN = re.compile(r"<box>\((\d+),(\d+)\),\((\d+),(\d+)\)</box>")
_SMALL = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
LARGEST = 10**15
"""Numbers from here on are none: a model has repeated a digit until it was stopped."""
_DAMAGE_PARTS = ("before", "no", "minor", "major", "destroyed")


def cookbook_label(answer: str) -> str | None:
    """The label of the first ```json block, which must hold two strings; None without one."""
    block = _FENCED.search(answer)
    value = _json(block.group(1)) if block else None
    if not isinstance(value, dict) or not isinstance(value.get("image_description"), str):
        return None
    label = value.get("label")
    return label if isinstance(label, str) else None


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
    numbers = re.findall(r"\d+", text)[:1]
    return int(numbers[0]) if numbers and _sane(numbers) else None


def vleo_box(answer: str) -> list[float] | None:
    """The first list of four numbers, pixels."""
    match = _LIST.search(answer)
    if match is None or not _sane(match.groups()):
        return None
    return [float(number) for number in match.groups()]


def vleo_qwen_box(answer: str, size_wh: Size) -> list[float] | None:
    """The one `<box>`, 0 to 1000, cut to whole pixels; None if there are several."""
    boxes = _QWEN.findall(answer)
    if len(boxes) != 1 or not _sane(boxes[0]):
        return None
    sides = (*size_wh, *size_wh)
    pixels = [int(number) / 1000 * side for number, side in zip(boxes[0], sides, strict=True)]
    return [float(int(pixel)) for pixel in pixels]


def vrsbench_box(answer: str) -> list[float] | None:
    """The first four runs of digits, wherever they stand, 0 to 100."""
    numbers = re.findall(r"\d+", answer)[:4]
    if len(numbers) < 4 or not _sane(numbers):
        return None
    return [float(number) for number in numbers]


def _sane(numbers: Iterable[str]) -> bool:
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
    tokens = _earthdial_tokens(truth)
    return len(_earthdial_tokens(answer) & tokens) / len(tokens) if tokens else 0.0


def _earthdial_tokens(text: str) -> set[str]:
    return set(re.findall(r"\w+|[^\w\s]", text.replace(" ", "").lower()))


def rsvqa_label(answer: str, ranges: bool) -> str:
    """An answer in RSVQA's vocabulary: areas, and with `ranges` counts, become ranges."""
    text = answer[:-1] if answer.endswith(("?", ".")) else answer
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
    counts: dict[str, int] = {}
    try:
        for key, number in value.items():
            for field, part in zip(DAMAGE, _DAMAGE_PARTS, strict=True):
                if part in key.lower():
                    counts[field] = int(number)
    except (TypeError, ValueError, OverflowError):
        return None
    return counts if _sane(map(str, counts.values())) else None


def strict_damage(answer: str) -> dict[str, int] | None:
    """Counts of buildings: an object of exactly the five fields, whole and not negative."""
    value = _object(answer)
    if value is None or value.keys() != set(DAMAGE):
        return None
    for number in value.values():
        if type(number) is not int or not 0 <= number < LARGEST:
            return None
    return {field: value[field] for field in DAMAGE}


def _object(answer: str) -> Json | None:
    """What stands between the first brace and the last, if it is a JSON object."""
    value = _json(answer[max(answer.find("{"), 0) : answer.rfind("}") + 1])
    return value if isinstance(value, dict) else None


def _json(text: str) -> Any:
    """What a JSON text holds, None for another text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
