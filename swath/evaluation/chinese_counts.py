"""Counts written in Chinese signs: 三十五艘船 is 35."""

from __future__ import annotations

import re

_DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
# Alone, or before a measure word: 一 and 十 stand in many words that count nothing.
_COUNT = re.compile(
    r"\W*(?:图中|一?共|总共|有|大?约)*([零〇一二两三四五六七八九十百千]{1,9})"
    r"(?:[个架辆艘座栋棵只条][\u4e00-\u9fff]{0,6})?\W*"
)


def chinese_count(answer: str) -> int | None:
    """The number that an answer is, alone or with its measure word; None where it is none.

    Signs without a unit are digits where a zero is among them: 二〇五 is 205, but 三四 is three or
    four.
    """
    match = _COUNT.fullmatch(answer)
    if match is None:
        return None
    signs = match[1]
    if not _UNITS.keys() & signs and re.search("[零〇]", signs):
        return int("".join(str(_DIGITS[sign]) for sign in signs))
    return _in_units(signs)


def _in_units(signs: str) -> int | None:
    """The number of signs such as 一百零二; 一百二 without a zero is 120, and 十 is one ten."""
    total = 0
    digit = 0
    last_unit = 10_000
    place = 1  # that the last digit counts at
    for sign in signs:
        if sign in _DIGITS:
            if digit:  # 十二三 is twelve or thirteen
                return None
            digit = _DIGITS[sign]
            place = place if digit else 1
            continue
        unit = _UNITS[sign]
        if unit >= last_unit:
            return None
        total += (digit or 1) * unit
        digit = 0
        last_unit = unit
        place = unit // 10
    return total + digit * place
