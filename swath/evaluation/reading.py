"""Readers of answers in words: a class or name of a set, or a number; never a guess."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from swath.errors import EvaluationError
from swath.evaluation.chinese_counts import chinese_count
from swath.evaluation.papers.reading_rules import LARGEST
from swath.evaluation.predictions import (
    EMPTY,
    NO_NUMBER,
    NOT_A_COUNT,
    NOT_A_LABEL,
    SEVERAL_NUMBERS,
    UNPARSABLE,
)

_ARTICLE = re.compile(r"^\W*(?:an?|the)\s+", re.IGNORECASE)
_BOX_TEXT = re.compile(
    r"<box>[^<]*</box>|<loc_?\d+>|[{\[](?=[^{}\[\]A-Za-z\d]*+\d)[^{}\[\]A-Za-z]*+[}\]]|<delim>"
)
_PHRASE = re.compile(r"</?(?:p|ref)>")

_FENCE = re.compile(r"```(?:json)?\s*(\{.*?)(?:```|\Z)", re.DOTALL)

_UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"]
_TEENS += ["seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: value for value, word in enumerate(_UNITS + _TEENS)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
# A word's sign; Chinese ones are none, because they touch the number they count: 共12辆车.
_SIGN = r"[^\W\u3400-\u4dbf\u4e00-\u9fff]"
_NUMBER = re.compile(
    rf"""
    (?<!{_SIGN})(?<![.,])[-−]?(?:\d{{1,3}}(?:[,，]\d{{3}})+|\d+)(?:\.\d+)?
    (?!{_SIGN}|[.,]\d)                                               # 12   1,500   -4   3.5
    | \b(?:(?:{"|".join(_TENS)})[-\s‑](?:{"|".join(_UNITS[1:])})      # twenty-one
    | {"|".join(sorted(_WORDS, key=len, reverse=True))})\b(?!-)         # seven
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LARGER = re.compile(r"[\s-]*(?:hundred|thousand|million|dozen|[十百千万亿打])", re.IGNORECASE)


class Labels:
    """The label set and its reader.

    Args:
        names: classes in the order that tables show them.

    Raises:
        EvaluationError: two names differ only in case, spaces or punctuation.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._by_letters: dict[str, str] = {}
        for name in self.names:
            first = self._by_letters.setdefault(letters(name), name)
            if first != name or self.names.count(name) > 1:
                raise EvaluationError(
                    f"labels '{first}' and '{name}' cannot be told apart once case, spaces and "
                    "punctuation are dropped; rename one of them."
                )

    def read(self, answer: str) -> tuple[str | None, str | None]:
        """The class an answer names, and what was wrong with it.

        Words must equal a label, case, spaces and punctuation aside. A JSON object, alone or in a
        ```json fence, must hold a `label` that equals one exactly.

        Returns:
            (label, None), or (None, problem): "empty", "unparsable" (a JSON object that is damaged
            or has no such field) or "not a label" (a class outside the set).
        """
        if answer in self.names:
            return answer, None
        if not letters(answer):
            return None, EMPTY
        fenced = _FENCE.search(answer)
        text = fenced.group(1) if fenced else answer.strip()
        if text.startswith("{"):
            try:
                stated = json.loads(text)["label"]
            except (ValueError, KeyError, RecursionError):
                return None, UNPARSABLE
            if not isinstance(stated, str):
                return None, UNPARSABLE
            return (stated, None) if stated in self.names else (None, NOT_A_LABEL)
        label = self._by_letters.get(letters(answer))
        return label, None if label else NOT_A_LABEL


class Names(Labels):
    """The object names of a set and their reader.

    Raises:
        EvaluationError: two names differ only in case, spaces or punctuation.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        forms: dict[str, set[str]] = {}
        for letter, name in self._by_letters.items():
            for form in numbers_of(letter):
                forms.setdefault(form, set()).add(name)
        self._by_form = {form: min(owners) for form, owners in forms.items() if len(owners) == 1}

    def read(self, answer: str) -> tuple[str | None, str | None]:
        """The name an answer gives, and what was wrong with it.

        It must equal a name; case, spaces, punctuation, an article before it and the number
        ("planes" for "plane") do not matter. Box text is left out.

        Returns:
            (name, None), or (None, problem): "empty" or "not a label" (outside the set).
        """
        words = letters(_ARTICLE.sub("", without_boxes(answer)))
        if not words:
            return None, EMPTY
        if words in self._by_letters:
            return self._by_letters[words], None
        candidates = {self._by_form[form] for form in numbers_of(words) if form in self._by_form}
        return (candidates.pop(), None) if len(candidates) == 1 else (None, NOT_A_LABEL)


def without_boxes(answer: str) -> str:
    """The words of an answer: boxes in braces or square brackets and `<p>` tags are left out."""
    return " ".join(_PHRASE.sub("", _BOX_TEXT.sub(" ", answer)).split())


def read_count(answer: str) -> tuple[int | None, str | None]:
    """The first number an answer names, and what was wrong with it.

    Digits with or without thousands separators ("1,500"), or the words zero to ninety-nine, each
    standing alone: "someone", "B52", "512x512" and "1,2345" hold none. Chinese signs may touch the
    digits, as in "共12辆车". An answer that is a Chinese number to thousands, alone or with its
    measure word, is that number: "三十五艘船".

    Returns:
        (count, None or "several numbers"), or (None, problem): "empty", "no number", or "not a
        count" for a negative, broken or endless number and for words beyond ninety-nine.
    """
    if not answer.strip():
        return None, EMPTY
    matches = list(_NUMBER.finditer(answer))
    if not matches:
        count = chinese_count(answer)
        return count, NO_NUMBER if count is None else None
    values = [_value(match.group()) for match in matches]
    first = values[0]
    if not 0 <= first < LARGEST or first != int(first) or _LARGER.match(answer, matches[0].end()):
        return None, NOT_A_COUNT
    return int(first), SEVERAL_NUMBERS if len(set(values)) > 1 else None


def letters(text: str) -> str:
    """The letters and digits of a text in lower case: what is left to compare labels by."""
    return "".join(sign for sign in text.casefold() if sign.isalnum())


def numbers_of(word: str) -> set[str]:
    """A word and what it may be the plural of: "beaches" is also "beache" and "beach"."""
    forms = {word}
    if len(word) > 3 and word.endswith("s"):
        forms.add(word[:-1])
        if word.endswith("es"):
            forms.add(word[:-2])
        if word.endswith("ies"):
            forms.add(word[:-3] + "y")
    return forms


def numbers_as_digits(text: str) -> str:
    """A text whose numbers, in words or with thousands separators, are plain digits."""
    return _NUMBER.sub(lambda match: f"{_value(match.group()):.15g}", text)


def _value(number: str) -> float:
    if number[-1].isdigit():
        return float(re.sub("[,，]", "", number).replace("−", "-"))
    return float(sum(_WORDS[word] for word in re.split(r"[-\s‑]", number.lower())))
