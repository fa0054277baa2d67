"""Dialogues, descriptions and reasoning that a language model writes from facts about an image.

The model sees no pixel: it is told captions and objects. What comes back is believed only if it
says nothing beyond them; what is not believed is listed with its reason and left out. Answers are
kept as they come, so that a run that was stopped goes on, and none is paid for twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from swath.annotations.image import AnnotatedImage
from swath.endpoint import Endpoint
from swath.files import write_jsonl
from swath.instructions.attributes import Looks
from swath.instructions.conversation import Conversation, Image, assistant, user
from swath.instructions.language import ENGLISH, is_chinese, plural, spoken
from swath.instructions.language_chinese import translated
from swath.instructions.rewriting import asks_chinese, requests_of, writer_endpoint
from swath.instructions.tasks.base import stands_upright
from swath.instructions.tasks.truths import OtherTruth
from swath.instructions.turns import CONVERSE
from swath.recipe import Writer

_PROMPTS: dict[str, str] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))

MOST_OBJECTS = 30
"""Objects told one by one; of more, their numbers."""
QUESTIONS = 4
LONGEST_TOKENS = 800
"""Tokens that a model may write for an image."""
LONGEST_WORDS = 250
"""Of one answer."""
TRIES = 2
"""Answers taken for an image before it is left out."""

_SIGNS_A_TOKEN = 4
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")
_COORDINATES = re.compile(r"[\[({<]\s*-?\d+(?:\.\d+)?\s*[,><]\s*<?-?\d|<loc|bbox|\|<")
_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
)
_IN_WORDS = {word: str(number) for number, word in enumerate(_WORDS.split())}
_HARMLESS = {"0", "1"}  # "one of them", "no one"


@dataclass(frozen=True)
class Estimate:
    """What writing will take, before anything is asked.

    Args:
        requests: at least; an answer that cannot be used is asked for once more.
        read, written: tokens, about; half of `LONGEST_TOKENS` is written of an image.
        cost: at the recipe's prices; 0 without.
    """

    requests: int
    read: int
    written: int
    cost: float


@dataclass(frozen=True)
class Reject:
    """What was not believed.

    Args:
        image: its id.
        kind: of writing.
        reason: what it says beyond the facts, or lacks.
        text: of the model.
    """

    image: str
    kind: str
    reason: str
    text: str


def estimate(images: Sequence[AnnotatedImage], section: Writer) -> Estimate:
    """Requests, tokens and cost of rewriting captions and of writing about the training images."""
    chosen = training_images(images)
    read = 0
    for image in chosen:
        facts = len("\n".join(image.captions)) + 60 * min(len(image.names), MOST_OBJECTS)
        read += sum(len(_PROMPTS[kind]) + facts for kind in section.conversations)
    rewritten, signs = requests_of(images, section)
    about_images = len(chosen) * len(section.conversations)
    requests = rewritten + about_images
    read = (read + signs) // _SIGNS_A_TOKEN
    written = about_images * LONGEST_TOKENS // 2 + signs // _SIGNS_A_TOKEN
    per_read, per_written = section.prices
    return Estimate(requests, read, written, (read * per_read + written * per_written) / 1e6)


def write_conversations_about(
    images: Sequence[AnnotatedImage],
    section: Writer,
    looks: Looks,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[Conversation]]:
    """Conversations about the training images that hold captions or objects, by the image's id.

    Args:
        images: of which only their annotations are sent, never a pixel.
        section: endpoint, model, kinds, prices and limit.
        looks: of their objects.
        folder: `writer.jsonl` holds the answers so far, `rejects.jsonl` what was not believed.
        progress: called with requests done and requests in all.

    Raises:
        EndpointError: the endpoint refuses, stays away or has cost too much.
    """
    jobs = [(image, kind) for image in training_images(images) for kind in section.conversations]
    facts = {image.id: facts_of(image, looks) for image in training_images(images)}
    names = sorted({spoken(name) for image in images for name in (*image.names, *image.listed)})
    with writer_endpoint(section, folder / "writer.jsonl") as endpoint:

        def ask(job: tuple[AnnotatedImage, str]) -> Conversation | Reject:
            image, kind = job
            return _written(image, kind, facts[image.id], names, section, endpoint)

        answers = endpoint.each(ask, jobs, section.at_once, progress)
    rows: dict[str, list[Conversation]] = {}
    rejects = []
    for (image, _), answer in zip(jobs, answers, strict=True):
        if isinstance(answer, Reject):
            rejects.append(vars(answer))
        else:
            rows.setdefault(image.id, []).append(answer)
    write_jsonl(folder / "rejects.jsonl", "rejects", rejects)
    return rows


def facts_of(image: AnnotatedImage, looks: Looks) -> str:
    """What is known of an image, in words: class, captions, numbers of objects, and each object."""
    lines = []
    if image.label:
        lines.append(f"Scene: {spoken(image.label)}")
    lines += [f"Caption: {caption.strip()}" for caption in image.captions if caption.strip()]
    for name, count in sorted(Counter(image.names).items()):
        noun = spoken(name)
        lines.append(f"Objects: {count} {noun if count == 1 else plural(noun)}")
    if 0 < len(image.names) <= MOST_OBJECTS:
        lines += [f"Object: {ENGLISH.one(look)}" for look in looks.of(image)]
    return "\n".join(lines)


def fault_of(pairs: Any, facts: str, names: Sequence[str], language: str) -> str | None:
    """Why questions and answers are not believed; None where nothing speaks against them.

    Args:
        pairs: what the model's JSON holds.
        facts: that it was told.
        names: classes of the set, as spoken; of those that the facts lack none may be named.
        language: that it was to write.
    """
    if not isinstance(pairs, list) or not pairs:
        return "no list of questions and answers"
    for pair in pairs:
        if not isinstance(pair, dict) or {"question", "answer"} - pair.keys():
            return "no list of questions and answers"
        question, answer = pair["question"], pair["answer"]
        if not (isinstance(question, str) and isinstance(answer, str)):
            return "a question or an answer that is no text"
        if not question.strip() or not answer.strip():
            return "an empty question or answer"
        if len(answer.split()) > LONGEST_WORDS or len(answer) > 8 * LONGEST_WORDS:
            return f"an answer of more than {LONGEST_WORDS} words"
        fault = _beyond(f"{question}\n{answer}", facts, names, language)
        if fault:
            return fault
    return None


def _beyond(text: str, facts: str, names: Sequence[str], language: str) -> str | None:
    """What a text says that the facts do not hold."""
    if _COORDINATES.search(text):
        return "coordinates"
    if is_chinese(text) != asks_chinese(language):
        return f"not in {language}"
    plain = text.lower()
    allowed = facts.lower()
    numbers = _numbers(plain) - _numbers(allowed) - _HARMLESS
    if numbers:
        return f"a number that was not told: {sorted(numbers)[0]}"
    classes = _classes(plain, names) - _classes(allowed, names)
    if classes:
        return f"a class that was not told: {sorted(classes)[0]}"
    return None


def _numbers(text: str) -> set[str]:
    words = {_IN_WORDS[word] for word in re.findall(r"[a-z]+", text) if word in _IN_WORDS}
    return words | set(_NUMBER.findall(text))


def _classes(text: str, names: Sequence[str]) -> set[str]:
    """The classes that a text names, in English, or in Chinese where that is known."""
    classes = set()
    # Of Chinese names the longest first, each taken out: an overpass is not a bridge as well.
    for name in sorted(names, key=lambda name: -len(translated(name))):
        pattern = rf"\b(?:{re.escape(name)}|{re.escape(plural(name))})\b"
        chinese = translated(name)
        if re.search(pattern, text, re.IGNORECASE):
            classes.add(name)
        if is_chinese(chinese) and chinese in text:
            classes.add(name)
            text = text.replace(chinese, " ")
    return classes


def _written(
    image: AnnotatedImage,
    kind: str,
    facts: str,
    names: Sequence[str],
    section: Writer,
    endpoint: Endpoint,
) -> Conversation | Reject:
    """A conversation that is believed, or the last one that was not."""
    prompt = _PROMPTS[kind].replace("{facts}", facts).replace("{n}", str(QUESTIONS))
    prompt = prompt.replace("{language}", section.language if section.translates else "English")
    language = section.language if section.translates else "English"
    reason, text = "", ""
    for attempt in range(TRIES):
        body: dict[str, Any] = {
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0.7,
            "max_tokens": LONGEST_TOKENS,
            "seed": attempt,
        }
        text = endpoint.complete(body, image.id).answer
        pairs = _json(text)
        reason = fault_of(pairs, facts, names, language) or ""
        if not reason:
            return _conversation(image, kind, pairs)
    return Reject(image.id, kind, reason, text[:2000])


def _json(text: str) -> Any:
    """The first list in a text, None without one that parses."""
    match = re.search(r"\[.*\]", text, re.DOTALL)
    try:
        return orjson.loads(match.group()) if match else None
    except orjson.JSONDecodeError:
        return None


def _conversation(
    image: AnnotatedImage, kind: str, pairs: Sequence[dict[str, str]]
) -> Conversation:
    turns = []
    for number, pair in enumerate(pairs):
        question = pair["question"].strip()
        if number == 0:
            turns.append(user(Image(image.path, image.size_wh), f"\n{question}"))
        else:
            turns.append(user(question))
        turns.append(assistant(pair["answer"].strip()))
    return Conversation(
        f"{image.id}#{kind}0",
        CONVERSE,
        tuple(turns),
        image.split,
        image.scene,
        OtherTruth(),
        stands_upright(turns),
    )


def training_images(images: Sequence[AnnotatedImage]) -> list[AnnotatedImage]:
    """The training images of which there is something to tell."""
    return [image for image in images if image.split == "train" and (image.captions or image.names)]
