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

_KIND = "written"
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
        EndpointError: the endpoint refuses, stays away, or answers what cannot be used.
        FormatError: `cache` is another file, or damaged.
    """
    captioned = [place for place, image in enumerate(images) if any(map(str.strip, image.captions))]
    written = list(images)
    journal = Journal(cache, _KIND)
    with Endpoint(section.endpoint, section.model, section.key, journal) as endpoint:
        texts = endpoint.each(
            lambda place: _written(images[place], section, endpoint),
            captioned,
            section.at_once,
            progress,
        )
    for place, captions in zip(captioned, texts, strict=True):
        written[place] = replace(images[place], captions=captions)
    return written


def note(section: Writer) -> str:
    """Who wrote the captions, for the card."""
    host = host_of(section.endpoint).partition(":")[0]
    return f"captions written by {section.model} at {host}: {', '.join(section.steps)}"


def _written(image: AnnotatedImage, section: Writer, endpoint: Endpoint) -> tuple[str, ...]:
    texts = [caption.strip() for caption in image.captions if caption.strip()]
    missing = max(0, (section.captions or 0) - len(texts))
    texts += itertools.islice(itertools.cycle(tuple(texts)), missing)
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
            script = is_chinese if _asks_chinese(section.language) else bool
            texts = [
                _ask(endpoint, prompt.replace("{text}", text), image.id, script) for text in texts
            ]
    return tuple(texts)


def _ask(endpoint: Endpoint, prompt: str, about: str, accept: Callable[[str], bool] = bool) -> str:
    body = {"messages": [{"role": "user", "content": prompt}], "temperature": 0}
    return endpoint.complete(body, about, accept=lambda text: bool(text) and accept(text)).answer


def _asks_chinese(language: str) -> bool:
    return (
        "chinese" in language.lower() or language.lower().startswith("zh") or is_chinese(language)
    )
