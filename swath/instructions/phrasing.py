"""How questions are put: one row a style, several wordings a task.

A style's first wording is the one a test asks; training draws from all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
        wordings: of each task. Places are filled: {labels} lists the classes, {phrase} names one
            object or all of a class, {names} is a class in the plural and {name} in the singular,
            {box} stands for boxes and {question} for the source's own words.
        grammar: words of phrases and descriptions.
        attributes: whether objects are singled out by colour, size and place as well.
        prepare: what is done to an image before anything is asked, such as translating its classes.
    """

    wordings: Mapping[str, tuple[str, ...]]
    grammar: English = ENGLISH
    attributes: bool = False
    prepare: Callable[[AnnotatedImage], AnnotatedImage] = lambda image: image


SHIPPED = Path(__file__).with_name("phrasings.yaml")
LANGUAGES: dict[str, dict[str, Any]] = {
    "english": {},
    "chinese": {"grammar": CHINESE, "prepare": in_chinese},
}


def _shipped() -> dict[str, Phrasing]:
    """The file's styles: of a language, and like another but for what they say themselves."""
    rows: dict[str, Phrasing] = {}
    for name, style in yaml.safe_load(SHIPPED.read_text("utf-8")).items():
        like = rows.get(style.pop("like", "plain"), Phrasing({}))
        options = LANGUAGES[style.pop("language")] if "language" in style else {}
        attributes = style.pop("attributes", like.attributes)
        own = {task: tuple(wordings) for task, wordings in style.items()}
        wordings = {**like.wordings, **own}
        rows[name] = replace(like, wordings=wordings, attributes=attributes, **options)
    return rows


PHRASINGS: Registry[Phrasing] = Registry("phrasing", "swath.phrasings", _shipped())
