"""Captions joined, rewritten or translated by a model behind an OpenAI-compatible endpoint.

Each answer is appended to a file as it comes, so a build that was stopped goes on where it was, and
none asks for the same twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from swath.annotations.image import AnnotatedImage
from swath.endpoint import Endpoint, host_of
from swath.files import Journal
from swath.instructions.language import is_chinese
from swath.recipe import Writer

_JOIN = (
    "These sentences describe one overhead image. Join them into one short description that says "
    "what they say and nothing else. Answer with the description alone.\n\n{text}"
)
_REWRITE = (
    "Say this description of an overhead image in other words. Keep its facts and add none. "
    "Answer with the new description alone.\n\n{text}"
)
_TRANSLATE = (
    "Translate this description of an overhead image into {language}. Answer with the translation "
    "alone.\n\n{text}"
)
_PROMPT_SIGNS = len(_JOIN)

Progress = Callable[[int, int], None]


def rewrite_captions(
    images: Sequence[AnnotatedImage], section: Writer, cache: Path, progress: Progress | None = None
) -> list[AnnotatedImage]:
    """The images with the captions that the model wrote from theirs.

    Args:
        images: those without captions stay as they are.
        section: endpoint, model and steps.
        cache: file of the answers so far; kept and added to.
        progress: called with images done and images in all.

    Raises:
        EndpointError: the endpoint refuses, stays away, answers what cannot be used, or has cost
            too much.
        FormatError: `cache` is another file, or damaged.
    """
    captioned = [place for place, image in enumerate(images) if any(map(str.strip, image.captions))]
    written = list(images)
    with writer_endpoint(section, cache) as endpoint:
        texts = endpoint.each(
            lambda place: _written(images[place], section, endpoint),
            captioned,
            section.at_once,
            progress,
        )
    for place, captions in zip(captioned, texts, strict=True):
        written[place] = replace(images[place], captions=captions)
    return written


def writer_endpoint(section: Writer, cache: Path) -> Endpoint:
    """The recipe's writer, within its limits; all that it writes is kept in one file."""
    limits = (None, section.timeout_s, section.prices, section.max_cost)
    return Endpoint(
        section.endpoint, section.model, section.key, Journal(cache, "written"), *limits
    )


def requests_of(images: Sequence[AnnotatedImage], section: Writer) -> tuple[int, int]:
    """How many requests the steps make of the images' captions, and of how many signs in all."""
    requests = 0
    signs = 0
    for image in images:
        texts = _texts(image, section)
        length = sum(map(len, texts))
        count = len(texts)
        for step in section.steps if texts else ():
            if step in ("join", "concatenate"):
                count = 1
            if step != "concatenate":
                requests += count
                signs += count * _PROMPT_SIGNS + length
    return requests, signs


def note(section: Writer) -> str:
    """Who wrote the captions, for the card."""
    host = host_of(section.endpoint).partition(":")[0]
    return f"captions written by {section.model} at {host}: {', '.join(section.steps)}"


def _written(image: AnnotatedImage, section: Writer, endpoint: Endpoint) -> tuple[str, ...]:
    texts = _texts(image, section)
    for step in section.steps:
        if step == "join":
            texts = [_ask(endpoint, _JOIN.replace("{text}", "\n".join(texts)), image.id)]
        elif step == "concatenate":
            texts = [" ".join(texts)]
        elif step == "rewrite":
            prompt = section.prompt or _REWRITE
            prompt = prompt if "{text}" in prompt else prompt + "\n\n{text}"
            texts = [_ask(endpoint, prompt.replace("{text}", text), image.id) for text in texts]
        else:
            prompt = _TRANSLATE.replace("{language}", section.language)
            script = is_chinese if asks_chinese(section.language) else bool
            texts = [
                _ask(endpoint, prompt.replace("{text}", text), image.id, script) for text in texts
            ]
    return tuple(texts)


def _texts(image: AnnotatedImage, section: Writer) -> list[str]:
    """The captions that say something, repeated until there are as many as the recipe wants."""
    texts = [caption.strip() for caption in image.captions if caption.strip()]
    missing = max(0, (section.captions or 0) - len(texts))
    return [*texts, *itertools.islice(itertools.cycle(texts), missing)]


def _ask(endpoint: Endpoint, prompt: str, about: str, accept: Callable[[str], bool] = bool) -> str:
    body = {"messages": [{"role": "user", "content": prompt}], "temperature": 0}
    return endpoint.complete(body, about, accept=lambda text: bool(text) and accept(text)).answer


def asks_chinese(language: str) -> bool:
    """Whether a recipe's `language` is Chinese, however it is called."""
    return (
        "chinese" in language.lower() or language.lower().startswith("zh") or is_chinese(language)
    )
