"""Words for objects: what one, or several alike, are called in a phrase and in a sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from swath.instructions.relations import BESIDE, INSIDE

if TYPE_CHECKING:
    import inflect


class Look(NamedTuple):
    """What is to be said of an object; None leaves it out.

    Args:
        name: its class.
        colour: English name of its main colour.
        size: "small" or "large" among its class.
        place: cell of a 3 x 3 grid over the image, 0 to 8, row by row.
        relation: how it stands to another object, in the words of `relations`, and that one's
            class; of "inside" and "next to" there may be several such objects, else one.
        direction: how a long object lies in the picture: "horizontal", "vertical" or "diagonal".
        length_m: its longer side in metres of ground.
        row: several such objects stand in a row.
    """

    name: str
    colour: str | None = None
    size: str | None = None
    place: int | None = None
    relation: tuple[str, str] | None = None
    direction: str | None = None
    length_m: float | None = None
    row: bool = False


class English:
    """Phrases and sentences in English; another language overrides what it says otherwise.

    Sentences about groups of objects are templates, in which {0}, {1} stand for the groups.
    """

    language = "english"
    """Section of `tasks/box_questions.yaml`."""

    space = " "
    """What stands between two sentences."""

    yes, no = "yes", "no"

    none = "none"
    """What answers where the objects are of which there are none."""

    places: Sequence[str] = (
        *("at the top left", "at the top", "at the top right"),
        *("on the left", "in the center", "on the right"),
        *("at the bottom left", "at the bottom", "at the bottom right"),
    )

    def speaks(self, text: str) -> bool:
        """Whether a text may be the answer to a question in this language."""
        return True

    def the(self, look: Look) -> str:
        """The one object of that look: "the large white plane at the top right"."""
        return f"the {self._words(look, spoken(look.name))}"

    def one(self, look: Look) -> str:
        """Some object of that look: "a large white plane at the top right"."""
        return with_article(self._words(look, spoken(look.name)))

    def group(self, look: Look, count: int) -> str:
        """So many objects of that look: "2 large planes"."""
        name = spoken(look.name)
        return f"{count} {self._words(look, name if count == 1 else plural(name))}"

    def together(self, look: Look, count: int) -> str:
        """The objects of that look that stand together: "the group of 4 planes at the top"."""
        kind = "row" if look.row else "group"
        return f"the {kind} of {self.group(look._replace(row=False), count)}"

    def all(self, name: str) -> str:
        """The class as what all boxes are asked of: "planes"."""
        return plural(spoken(name))

    def is_there(self, name: str) -> str:
        """Asks whether there is any object of a class."""
        return f"Is there {with_article(spoken(name))}?"

    def related(self, count: int, relation: str) -> str:
        """That group 0 is inside or next to group 1."""
        return f"{{0}} {_be(count)} {relation} {{1}}."

    def placed(self, count: int, place: int) -> str:
        """Where in the image group 0 is."""
        return f"{{0}} {_be(count)} {self.places[place]}."

    def there_are(self, counts: Sequence[int]) -> str:
        """That there are these groups."""
        slots = [f"{{{place}}}" for place in range(len(counts))]
        listed = " and ".join(filter(None, (", ".join(slots[:-1]), slots[-1])))
        return f"There {_be(counts[0])} {listed}."

    def crowd(self, name: str) -> str:
        """That there are too many of a class to point at each."""
        return f"There are many {plural(spoken(name))}."

    def _words(self, look: Look, noun: str) -> str:
        words = [look.size, look.colour, noun]
        if look.row:
            words.append("in a row")
        if look.direction is not None:
            words.append(_LYING[look.direction])
        if look.place is not None:
            words.append(self.places[look.place])
        if look.relation is not None:
            relation, other = look.relation
            several = relation in (INSIDE, BESIDE)
            other = spoken(other)
            words += [relation, with_article(other) if several else f"the {other}"]
        phrase = " ".join(word for word in words if word)
        length = look.length_m
        return phrase if length is None else f"{phrase}, about {metres(length)} m long"


_LYING = {
    "horizontal": "lying horizontally",
    "vertical": "lying vertically",
    "diagonal": "lying diagonally",
}

_NO_WORDS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufeff<>|{}\[\]\\]+")

ENGLISH = English()


def metres(length_m: float) -> str:
    """A length as people say it: two digits, and half a metre at the finest."""
    if length_m < 10:
        return f"{round(length_m * 2) / 2:g}"
    return f"{float(f'{length_m:.2g}'):.0f}"


@lru_cache(maxsize=4096)
def spoken(label: str) -> str:
    """A class as words: "BaseballField" and "baseball_field" both give "baseball field".

    Control characters and the brackets that special tokens and boxes are written with are left out.
    """
    plain = _NO_WORDS.sub(" ", label)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\-\s]+", " ", plain).strip() or "object"
    return words if words.isupper() else words.lower()


@lru_cache(maxsize=4096)
def plural(name: str) -> str:
    """A class name in the plural; "aircraft" and "courses" stay. Chinese has none.

    Source: the rules of inflect.
    """
    if is_chinese(name[-1:]):
        return name
    nouns = _nouns()
    singular = nouns.singular_noun(name)
    if singular and not name.endswith(("us", "ss", "is")) and nouns.plural_noun(singular) == name:
        return name  # it is a plural already
    return f"{name}s" if name.isupper() else nouns.plural_noun(name)


@cache
def _nouns() -> inflect.engine:
    import typeguard

    # inflect has its functions rewritten as it is imported, so that they check their arguments;
    # that takes two seconds, and all that swath gives them is words.
    checked = typeguard.typechecked
    typeguard.typechecked = lambda function: function  # type: ignore[assignment]
    try:
        import inflect
    finally:
        typeguard.typechecked = checked
    return inflect.engine()


def with_article(noun: str) -> str:
    """The noun with "a" or "an"."""
    vowel = re.match(r"[aeio]|u(?!ni|ti|s)", noun, re.IGNORECASE)
    return f"{'an' if vowel else 'a'} {noun}"


def is_chinese(text: str) -> bool:
    """Whether any character of it is Chinese."""
    return bool(re.search(r"[\u3400-\u4dbf\u4e00-\u9fff]", text))


def _be(count: int) -> str:
    return "is" if count == 1 else "are"
