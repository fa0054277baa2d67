"""How questions are put: one row a style, several wordings a task.

A style's first wording is the one a test asks; training draws from all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from swath.registry import Registry


@dataclass(frozen=True)
class Phrasing:
    """Wordings of each task.

    Args:
        classify: asks for the scene class.
        caption: asks for a sentence on the whole image.
        refer: asks for the box of `{phrase}`.
        count: asks how many `{names}` (plural) there are.
    """

    classify: tuple[str, ...]
    caption: tuple[str, ...]
    refer: tuple[str, ...]
    count: tuple[str, ...]


PHRASINGS: Registry[Phrasing] = Registry("phrasing", "swath.phrasings")

PHRASINGS.add(
    "plain",
    Phrasing(
        classify=("What kind of scene is this?",),
        caption=("Describe the image.",),
        refer=("[refer] where is <p>{phrase}</p>?",),
        count=("How many {names} are there?",),
    ),
)
PHRASINGS.add(
    "varied",
    Phrasing(
        classify=(
            "What kind of scene is this?",
            "Which class does this scene belong to?",
            "Name the scene.",
            "What is shown here?",
        ),
        caption=(
            "Describe the image.",
            "Describe this scene in one sentence.",
            "Write a caption.",
            "What can be seen from above?",
        ),
        refer=(
            "[refer] where is <p>{phrase}</p>?",
            "[refer] give me the location of <p>{phrase}</p>",
            "[refer] find <p>{phrase}</p>",
        ),
        count=(
            "How many {names} are there?",
            "Count the {names}.",
            "What is the number of {names}?",
        ),
    ),
)
PHRASINGS.add(
    "quickstart",
    Phrasing(
        classify=("Which category fits this site best?", "Pick the category of this site."),
        caption=("Tell me about this site in a few words.",),
        refer=("[refer] point out <p>{phrase}</p> on this site",),
        count=("Give the tally of {names} on this site.",),
    ),
)


def spoken(label: str) -> str:
    """A class as words: "BaseballField" and "baseball_field" both give "baseball field"."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\-\s]+", " ", label).strip()
    return words if words.isupper() else words.lower()


def plural(name: str) -> str:
    """A class name in the plural, by English's common rules."""
    if name.endswith(("s", "x", "z", "ch", "sh")):
        return name + "es"
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return name[:-1] + "ies"
    return name + "s"
