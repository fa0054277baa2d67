"""How questions are put: one row a style, several wordings a task.

A style's first wording is the one a test asks; training draws from all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from swath.annotations.image import AnnotatedImage
from swath.instructions.language import ENGLISH, English
from swath.instructions.language_chinese import CHINESE, in_chinese
from swath.registry import Registry


@dataclass(frozen=True)
class Phrasing:
    """Wordings of each task, and the language of phrases and answers.

    A task token such as `[refer]` in front of a wording goes where `instructions.task_tokens` is
    false.

    Args:
        classify: asks for the scene class; {labels} lists the classes.
        caption: asks for a sentence on the whole image.
        refer: asks for the box of `{phrase}`.
        count: asks how many `{names}` (plural) there are.
        ground: asks for the boxes of all objects that `{phrase}` names.
        identify: asks for the class of the object at `{box}`.
        region: asks for a phrase on the object at `{box}`.
        describe: asks for sentences on the objects, each with its boxes.
        question: puts the source's own `{question}`.
        damage: asks how many buildings there were before a disaster, and how damaged they are.
        grammar: words of phrases and descriptions.
        attributes: whether objects are singled out by colour, size and place as well.
        prepare: what is done to an image before anything is asked, such as translating its classes.
    """

    classify: tuple[str, ...]
    caption: tuple[str, ...]
    refer: tuple[str, ...]
    count: tuple[str, ...]
    ground: tuple[str, ...] = ("[grounding] where are all <p>{phrase}</p>?",)
    identify: tuple[str, ...] = ("[identify] what is the object at {box}?",)
    region: tuple[str, ...] = ("[identify] describe the object at {box}",)
    describe: tuple[str, ...] = ("[grounding] describe the image in detail",)
    question: tuple[str, ...] = ("{question}",)
    damage: tuple[str, ...] = (
        "The first image was taken before a natural disaster and the second one after it. Count "
        "the buildings in the first image, and those with no damage, minor damage, major damage "
        "and those destroyed in the second. Answer as JSON with the keys count_before, no_damage, "
        "minor_damage, major_damage, destroyed.",
    )
    grammar: English = ENGLISH
    attributes: bool = False
    prepare: Callable[[AnnotatedImage], AnnotatedImage] = lambda image: image


SHIPPED = Path(__file__).with_name("phrasings.yaml")
LANGUAGES: dict[str, dict[str, Any]] = {
    "english": {},
    "chinese": {"grammar": CHINESE, "prepare": in_chinese},
}


def _shipped() -> dict[str, Phrasing]:
    """The file's styles: of a language, and some like another but for what they say themselves."""
    rows: dict[str, Phrasing] = {}
    for name, said in yaml.safe_load(SHIPPED.read_text("utf-8")).items():
        like, values = said.pop("like", None), dict(LANGUAGES[said.pop("language", "english")])
        values |= {key: tuple(one) if isinstance(one, list) else one for key, one in said.items()}
        rows[name] = replace(rows[like], **values) if like else Phrasing(**values)
    return rows


PHRASINGS: Registry[Phrasing] = Registry("phrasing", "swath.phrasings", _shipped())
