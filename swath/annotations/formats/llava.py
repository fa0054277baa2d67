"""Conversations about pictures: LLaVA's JSON, and the messages of OpenAI and Mistral."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.annotations.finding_pictures import UNMEASURED, PictureFinder, official_splits
from swath.annotations.image import AnnotatedImage, Question
from swath.annotations.lint import lacks_noun, text_faults
from swath.annotations.notes import note, using
from swath.annotations.parsing import OBJECT, class_of, image_of, objects, put, sentence, size_of
from swath.annotations.tables import load, root_of, rows_of, split_in, table_files
from swath.boxes import Boxes
from swath.dialect import ORIENTED, from_grid, numbers
from swath.errors import AnnotationError
from swath.files import replacing

LARGEST_PICTURE = 20 * 1024**2
"""Bytes of a picture written into a row as a data URL."""

_KEYS = ("conversations", "messages")
_MARKS = re.compile(r"</?s>|\[/?INST\]|<Img>|</Img>|<ImageHere>|<(image|video)>|</?(p|ref)>")
_TOKEN = re.compile(r"^\s*\[(\w+)\]\s*")
_PHRASE = re.compile(r"<(p|ref)>(?P<phrase>.*?)</\1>\s*(?P<boxes>(?:\{[^{}]*\}|<delim>|\s)*)", re.S)
_WHERE = re.compile(
    r"^(?:from this image,? )?(?:please )?(?:can|could) you (?:tell|give|show) me |"
    r"^(?:tell|give|show) me |"
    r"^(?:please )?(?:locate|find|detect|where (?:is|are|can i (?:locate|find)))"
    r"|(?:the )?(?:location|position|bounding box)s? (?:of|for)",
    re.IGNORECASE,
)
_REGION = re.compile(r"what (?:is|object|kind)|identify|describe|caption", re.IGNORECASE)
_WHOLE = re.compile(
    r"^(?:please |can you |could you )?(?:describe|caption|(?:write|provide|give|generate)\b.*"
    r"(?:caption|description))",
    re.IGNORECASE,
)
_SUFFIX = {"jpeg": ".jpg", "jpg": ".jpg", "png": ".png", "webp": ".webp", "gif": ".gif"}

Turns = list[tuple[str, str]]  # question and answer


def recognises(path: Path) -> bool:
    """Whether a file holds conversations in either form, or a folder holds one."""
    return bool(_files(path))


def read(path: Path, pictures: Path | None = None) -> list[AnnotatedImage]:
    """One image for all conversations about it, one sequence for several images of a row.

    Understands `{"id", "image", "conversations": [{"from": "human" or "gpt", "value"}, ...]}`
    (LLaVA, GeoChat_Instruct, SkyEye-968k, VRSBench) in a JSON list or JSON Lines, and `{"messages":
    [{"role", "content"}, ...]}` or the bare list of messages in JSON Lines, whose content holds
    `image_url` as text (Mistral) or as an object (OpenAI); pictures there are files, named
    relative to the folder, or data URLs. Each pair of turns becomes what it teaches:

    - boxes in the answer: objects, under the phrases in `<p>...</p>`, else under what is asked;
    - a box in the question, and what stands there in the answer: an object and its phrase;
    - a request to describe the image: a caption;
    - anything else: a question.

    Box text is `{<x1><y1><x2><y2>}` with or without `|<angle>`, on a grid of 0 to 100.

    Args:
        path: the file, or the folder holding one or several, also in `annotations`.
        pictures: folder that data URLs are written to.

    Raises:
        AnnotationError: a row is not of this form, or its picture is missing, no picture, or on
            the web.
    """
    images: dict[str, AnnotatedImage] = {}
    unsaid = ("without a picture", "of a region in words swath does not know", "told before")
    left, told = dict.fromkeys(unsaid, 0), set[tuple[Path, int]]()
    for file in _files(path):
        using(file)
        root = root_of(path, file)
        finder, listed, total = PictureFinder(root, file), official_splits(root), 0
        for where, row in _rows(file):
            names, turns = _messages(row, where) if _is_messages(row) else _llava(row, where)
            if not names:
                left["without a picture"] += 1
                continue
            if (key := (file, hash((*names, str(turns))))) in told:
                left["told before"] += 1
                continue
            told.add(key)
            total += len(names)
            found = [
                _unpacked(name, pictures, where) if name.startswith("data:") else finder.find(name)
                for name in names
            ]
            if None in found:
                continue
            paths = [one for one in found if one is not None]
            inside = paths[0].is_relative_to(root)
            several = len(paths) > 1 and isinstance(row, dict)
            image = image_of(
                paths[0],
                root if inside else paths[0].parent,
                id=str(row["id"]) if several and row.get("id") else "",
                split=listed(paths[0]) or split_in(Path(file.name)),
                source=root.name,
                frames=tuple(map(str, paths)) if len(paths) > 1 else (),
                **_said(paths[0], turns, where, left),
            )
            put(images, image, where)
        finder.refuse_missing(total)
    for what, count in left.items():
        if count:
            note("conversation left out", path, f"{count} rows {what}", "they are left out", count)
    return list(images.values())


def _files(path: Path) -> list[Path]:
    files = table_files(path, (".json", ".jsonl"))
    return [file for file in files if _fits(next(_rows(file), ("", None))[1])]


def _rows(file: Path) -> Iterator[tuple[str, Any]]:
    if file.suffix.lower() == ".json":
        content = load(file)
        rows = content if isinstance(content, list) else [content]
        yield from ((f"{file}: entry {number}", row) for number, row in enumerate(rows))
    else:
        yield from rows_of(file)


def _is_messages(row: Any) -> bool:
    return isinstance(row, list) or (isinstance(row, dict) and "messages" in row)


def _fits(row: Any) -> bool:
    turns = row.get("conversations", row.get("messages")) if isinstance(row, dict) else row
    keys = ({"from", "value"}, {"role", "content"})
    return (
        isinstance(turns, list)
        and bool(turns)
        and isinstance(turns[0], dict)
        and any(key <= turns[0].keys() for key in keys)
    )


def _llava(row: Any, where: str) -> tuple[list[str], Turns]:
    """Pictures and turns of a row of LLaVA's."""
    if not isinstance(row, dict) or not _fits(row):
        raise AnnotationError(
            f"{where}: expected `image` and `conversations` of `from` and `value`; correct it."
        )
    given = row.get("image") or row.get("images") or row.get("video") or []
    names = [given] if isinstance(given, str) else given
    said = [(str(one.get("from")), one.get("value")) for one in row["conversations"]]
    if not all(isinstance(value, str) for _, value in said):
        raise AnnotationError(f"{where}: expected text under `value` of each turn; correct it.")
    return [str(name) for name in names], _pairs(said, where)


def _messages(row: Any, where: str) -> tuple[list[str], Turns]:
    """Pictures and turns of a row of OpenAI's or Mistral's."""
    names, said = list[str](), []
    try:
        for one in row["messages"] if isinstance(row, dict) else row:
            parts = one["content"]
            texts = [parts] if isinstance(parts, str) else []
            for part in [] if texts else parts or []:
                if part["type"] == "text":
                    texts.append(part["text"])
                elif part["type"] == "image_url":
                    url = part["image_url"]
                    names.append(url if isinstance(url, str) else url["url"])
            if one["role"] != "system":  # the recipe's own instruction takes its place
                said.append((one["role"], "\n".join(texts)))
        if not all(isinstance(name, str) for name in names):
            raise TypeError("an image_url that is no text")
    except (KeyError, TypeError) as error:
        raise AnnotationError(
            f"{where}: expected messages of `role` and `content` ({error!r}); correct it."
        ) from None
    for name in names:
        if name.startswith(("http:", "https:")):
            raise AnnotationError(
                f"{where}: '{name[:60]}' lies on the web, where a set may change; fetch its "
                f"pictures and name the files."
            )
    return names, _pairs(said, where)


def _pairs(said: Sequence[tuple[str, str]], where: str) -> Turns:
    turns = []
    for (one, question), (two, answer) in zip(said[::2], said[1::2], strict=False):
        if one not in ("human", "user") or two not in ("gpt", "assistant"):
            raise AnnotationError(
                f"{where}: expected a question and an answer in turns, got {one} and {two}."
            )
        turns.append((question, answer))
    if len(said) % 2:
        raise AnnotationError(f"{where}: the last turn has no answer; add it or remove the turn.")
    return turns


def _said(picture: Path, turns: Turns, where: str, left: dict[str, int]) -> dict[str, Any]:
    """What the turns say of a picture, or of a sequence that begins with it."""
    captions, questions, faults = list[str](), list[Question](), list[tuple[str, str]]()
    pointed: list[tuple[Boxes, str | None]] = []
    boxed = any(ORIENTED.search(text) for turn in turns for text in turn)
    size = size_of(picture, where) if boxed else UNMEASURED
    for question, answer in turns:
        faults += [fault for text in (question, answer) for fault in text_faults(text)]
        asked = _MARKS.sub(" ", question).strip()
        token = match[1].lower() if (match := _TOKEN.match(asked)) else ""
        raw = _TOKEN.sub("", asked)
        asked, plain = " ".join(raw.split()), " ".join(answer.split())
        if ORIENTED.search(answer):
            phrases = [one for one in _PHRASE.finditer(answer) if ORIENTED.search(one["boxes"])]
            for one in phrases:
                pointed.append((_boxes(one["boxes"], size), one["phrase"].strip()))
            if phrases:
                words = ORIENTED.sub(" ", answer).replace("<delim>", " ")
                captions.append(sentence(_MARKS.sub(" ", words)))
            else:
                wanted = _PHRASE.search(question)
                phrase = (wanted["phrase"] if wanted else _WHERE.sub("", asked)).strip(" ?.")
                pointed.append((_boxes(answer, size), phrase or None))
                if not phrase:
                    faults.append(("missing noun", f"'{asked}' does not say of what"))
        elif ORIENTED.search(question):
            if token in ("identify", "region") or _REGION.search(asked):
                pointed.append((_boxes(question, size), plain))
            else:
                left["of a region in words swath does not know"] += 1
        elif token == "caption" or _WHOLE.search(asked):
            captions.append(plain)
        else:
            questions.append(Question(raw if lacks_noun(raw) else asked, plain, token))
    rows = _told_twice(
        [(quad, phrase, len(boxes)) for boxes, phrase in pointed for quad in boxes.quads]
    )
    # A phrase that several boxes answer singles out none of them.
    told = [(quad, name, phrase if count == 1 else None) for quad, phrase, count, name in rows]
    return {
        "captions": tuple(dict.fromkeys(captions)),
        "questions": tuple(dict.fromkeys(questions)),
        "faults": tuple(faults),
        **objects(told),
    }


def _told_twice(
    rows: Sequence[tuple[NDArray[np.float64], str | None, int]],
) -> list[tuple[NDArray[np.float64], str | None, int, str]]:
    """Objects and their classes, one for a box that a turn names and another describes."""
    found: dict[bytes, tuple[NDArray[np.float64], str | None, int, str]] = {}
    rest = []
    for quad, phrase, count in rows:
        name = class_of(phrase) if phrase else OBJECT
        known = found.setdefault(quad.tobytes(), row := (quad, phrase, count, name))
        if known is row:
            continue
        if OBJECT not in (known[3], name) and known[3] != name:
            rest.append(row)
            continue
        told = max((known, row), key=lambda one: (one[2] == 1, len(one[1] or "")))
        name = known[3] if name == OBJECT else name
        found[quad.tobytes()] = (*told[:3], name)
    return [*found.values(), *rest]


def _boxes(text: str, size_wh: tuple[int, int]) -> Boxes:
    return from_grid(numbers(ORIENTED, text), size_wh)


def _unpacked(url: str, pictures: Path | None, where: str) -> Path:
    """File of a data URL's picture, named by its content."""
    head, _, body = url.partition(",")
    kind = re.fullmatch(r"data:image/(\w+);base64", head)
    if kind is None or kind[1].lower() not in _SUFFIX or pictures is None:
        why = "there is nowhere to write it" if kind and pictures is None else "no picture"
        raise AnnotationError(
            f"{where}: a data URL '{head[:40]}' ({why}); give pictures as files, or as "
            f"data:image/png;base64 and the like."
        )
    if len(body) * 3 // 4 > LARGEST_PICTURE:
        raise AnnotationError(
            f"{where}: a picture of more than {LARGEST_PICTURE >> 20} MB in a row; name its file."
        )
    try:
        content = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AnnotationError(f"{where}: a picture that is not base64 ({error}).") from None
    digest = hashlib.sha256(content).hexdigest()[:20]
    file = pictures.absolute() / f"{digest}{_SUFFIX[kind[1].lower()]}"
    if not file.is_file():
        with replacing(file) as temporary:
            temporary.write_bytes(content)
    return file
