"""Chinese: names of common classes, phrases and sentences, and captions of drawn scenes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from swath.annotations.drawn import SOURCE as DRAWN
from swath.annotations.image import AnnotatedImage
from swath.instructions.language import English, Look, is_chinese, metres, spoken
from swath.instructions.relations import BESIDE, INSIDE, NEAREST, SIDES

_TABLE = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
_COLOURS: dict[str, str] = _TABLE["colours"]
_SIZES: dict[str, str] = _TABLE["sizes"]
_WORDS: dict[str, str] = _TABLE["words"]
_COUNTERS = {noun: counter for counter, nouns in _TABLE["counters"].items() for noun in nouns}
_JOINED = {word.replace(" ", ""): chinese for word, chinese in _WORDS.items()}
_DIGITS = "零一二三四五六七八九"
_PHRASE = re.compile(r"(?:the )?(?:(?P<trait>[a-z]+) )?(?P<name>[a-z ]+)")


class Chinese(English):
    """Phrases and sentences in Chinese."""

    language = "chinese"
    space = ""
    yes, no = "有", "没有"

    none = "无"
    places = ("左上角", "上方", "右上角", "左侧", "中央", "右侧", "左下角", "下方", "右下角")

    def speaks(self, text: str) -> bool:
        """Whether a text is in Chinese."""
        return is_chinese(text)

    def the(self, look: Look) -> str:
        """The one object of that look, which needs no article."""
        return self._where(look) + self._words(look, spoken(look.name))

    def one(self, look: Look) -> str:
        """Some object of that look, with its counter."""
        words = self._words(look, spoken(look.name))
        return f"{self._where(look)}一{_counter(look.name)}{words}"

    def group(self, look: Look, count: int) -> str:
        """So many objects of that look, with their counter."""
        row = "排成一行的" if look.row else ""
        return f"{count}{_counter(look.name)}{row}{self._words(look, spoken(look.name))}"

    def together(self, look: Look, count: int) -> str:
        """The objects of that look that stand together."""
        kind = "排成一行" if look.row else "聚在一起"
        return f"{self._where(look)}{kind}的{self.group(Look(look.name, look.colour), count)}"

    def all(self, name: str) -> str:
        """The class as what all boxes are asked of."""
        return f"所有{spoken(name)}"

    def is_there(self, name: str) -> str:
        """Asks whether there is any object of a class."""
        return f"图中有{spoken(name)}吗？"

    def related(self, count: int, relation: str) -> str:
        """That group 0 is inside or next to group 1."""
        return f"{{0}}位于{{1}}{'里' if relation == 'inside' else '旁边'}。"

    def placed(self, count: int, place: int) -> str:
        """Where in the image group 0 is."""
        return f"{{0}}位于图像{self.places[place]}。"

    def there_are(self, counts: Sequence[int]) -> str:
        """That there are these groups."""
        return f"图中有{'、'.join(f'{{{place}}}' for place in range(len(counts)))}。"

    def crowd(self, name: str) -> str:
        """That there are too many of a class to point at each."""
        return f"图中有许多{spoken(name)}。"

    def _words(self, look: Look, noun: str) -> str:
        words = _SIZES.get(look.size or "", "") + _COLOURS.get(look.colour or "", "") + noun
        length = look.length_m
        return words if length is None else f"{words}（长约{metres(length)}米）"

    def _where(self, look: Look) -> str:
        where = f"{self.places[look.place]}的" if look.place is not None else ""
        if look.relation is not None:
            relation, other = look.relation
            where += _RELATED[relation].format(spoken(other))
        if look.direction is not None:
            where += _LYING[look.direction]
        return where


_LYING = {"horizontal": "横向的", "vertical": "纵向的", "diagonal": "斜向的"}
_RELATED = {
    INSIDE: "{}里的",
    BESIDE: "{}旁边的",
    NEAREST: "离{}最近的",
    **dict(zip(SIDES, ("{}左边的", "{}右边的", "{}上方的", "{}下方的"), strict=True)),
}

CHINESE = Chinese()


def translated(word: str) -> str:
    """The Chinese name of a common class, however its words are joined; another stays as it is."""
    return _JOINED.get(spoken(word).replace(" ", ""), word)


def in_chinese(image: AnnotatedImage) -> AnnotatedImage:
    """The image with its classes and simple phrases in Chinese, where they are known.

    Captions and questions stay in the language they were written in, for which there is
    `instructions.writer`; those of a drawn scene are made anew from its class and objects.
    """
    drawn = image.source == DRAWN and not any(is_chinese(text) for text in image.captions)
    chinese = replace(
        image,
        label=None if image.label is None else translated(image.label),
        names=tuple(translated(name) for name in image.names),
        listed=tuple(translated(name) for name in image.listed),
        phrases=tuple(phrase and _phrase(phrase) for phrase in image.phrases),
    )
    return replace(chinese, captions=_captions(chinese)) if drawn and image.captions else chinese


def _phrase(phrase: str) -> str:
    """ "the red ship" as "红色船只"; words that are not known leave the phrase as it is."""
    if phrase.removeprefix("the ") in _WORDS:
        return _WORDS[phrase.removeprefix("the ")]
    found = _PHRASE.fullmatch(phrase)
    trait = (_COLOURS | _SIZES).get(found["trait"] or "") if found else None
    if found is None or trait is None or found["name"] not in _WORDS:
        return phrase
    return trait + _WORDS[found["name"]]


def _captions(image: AnnotatedImage) -> tuple[str, ...]:
    """Sentences true of a drawn scene: its class, and what of its objects is boxed."""
    label = image.label or "地面"
    things = [
        f"{_number(count)}{_counter(name)}{name}"
        for name, count in sorted(Counter(image.names).items(), key=lambda pair: pair[1])
        if name != image.label
    ]
    made = []
    if things:
        what = "和".join(things[:2])
        made = [f"{label}里有{what}。", f"可以看到{label}里的{what}。"]
    made += [f"这是一幅{label}的遥感图像。", f"图中是一处{label}。", f"从空中看到的是{label}。"]
    return tuple(made)


def _counter(name: str) -> str:
    return _COUNTERS.get(name, "个")


def _number(count: int) -> str:
    """A count in words, as it stands before a counter; more than ten in figures."""
    if count == 2:
        return "两"
    return _DIGITS[count] if count < 10 else "十" if count == 10 else str(count)
