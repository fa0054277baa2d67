"""Conversations about pictures: LLaVA's JSON, and the messages of OpenAI, Mistral and others."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from swath.annotations.finding_pictures import shown
from swath.annotations.image import Question
from swath.annotations.lint import lacks_noun, text_faults
from swath.annotations.parsing import OBJECT, Outline, Quad, Row, Size, class_of, sentence
from swath.annotations.source import Source
from swath.annotations.splits import split_in
from swath.annotations.tables import Refuse, load, refuse, rows_of, table_files
from swath.dialect import ORIENTED, from_grid, numbers
from swath.errors import AnnotationError
from swath.files import Json, replacing
from swath.parquet_shards import rows_in, shards_in

LARGEST_PICTURE = 20 * 1024**2
"""Bytes of a picture written into a row as a data URL."""

_MARKS = re.compile(r"</?s>|\[/?INST\]|<Img>|</Img>|<ImageHere>|<(image|video)>|</?(p|ref)>")
_TOKEN = re.compile(r"^\s*\[(\w+)\]\s*")
_PHRASE = re.compile(
    r"(?s)<(p|ref)>(?P<phrase>(?:(?!<p>|<ref>).)*?)</\1>\s*(?P<boxes>(?:\{[^{}]*\}|<delim>|\s)*)"
)
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
_NAME_WORDS = 3
"""An answer on a region of at most so many words names it; a longer one describes it."""
_PLACES_OF_OBJECTS = ("<bbox>", "<ref-object>")
_SUFFIX = {"jpeg": ".jpg", "jpg": ".jpg", "png": ".png", "webp": ".webp", "gif": ".gif"}


Turns = list[tuple[str, str]]  # question and answer


@dataclass
class _Taught:
    """What the turns of a row teach; `pointed` is text of boxes and what is said to be there."""

    captions: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    pointed: list[tuple[str, str | None]] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)


class _Object(NamedTuple):
    """An object, and whether its phrase singles it out."""

    quad: Quad
    name: str
    phrase: str
    singles_out: bool

    def joined(self, again: _Object) -> _Object:
        """The same object spoken of again: the phrase that says more, the class that is known."""
        fuller = max((self, again), key=lambda thing: (thing.singles_out, len(thing.phrase)))
        return fuller._replace(name=again.name if self.name == OBJECT else self.name)


def recognises(path: Path) -> bool:
    """Whether a file holds conversations in either form, or a folder holds one."""
    return bool(_files(path))


def rows(source: Source) -> Iterator[Row]:
    """A row for each conversation about a picture, or about several of a sequence.

    Understands `{"id", "image", "conversations": [{"from": "human" or "gpt", "value"}, ...]}`
    (LLaVA, GeoChat_Instruct, SkyEye-968k, VRSBench), and `{"messages": [{"role", "content"}, ...]}`
    or the bare list of messages, in a JSON list or JSON Lines. The content of a message holds
    `image_url` as text (Mistral) or as an object (OpenAI), or pictures stand under `image` or
    `images` of the row, a list, a name, or objects of `path` (LLaMA-Factory, ms-swift); pictures
    are files, named relative to the folder, or data URLs. The Hub's Parquet shards of either form
    hold them as `bytes`. Each pair of turns becomes what it
    teaches:

    - boxes in the answer: objects, under the phrases in `<p>...</p>`, else under what is asked;
    - a box in the question, and what stands there in the answer: an object and its phrase;
    - a request to describe the image: a caption;
    - anything else: a question.

    The turns are kept word for word as well, for the task `dialogue`.

    Box text is `{<x1><y1><x2><y2>}` with or without `|<angle>`, on a grid of 0 to 100.
    """
    unsaid: Counter[str] = Counter()
    earlier: set[tuple[Path, int]] = set()
    for file in _files(source.path):
        source.opens(file)
        for where, entry in entries_of(file, source.refuse):
            with source.row():
                names, turns = _conversation(entry, where)
                key = (file, hash((*names, str(turns))))
                if not names:
                    unsaid["without a picture"] += 1
                elif key in earlier:
                    unsaid["told before"] += 1
                else:
                    earlier.add(key)
                    pictures = [_picture(name, source, where) for name in names]
                    yield _row(entry, pictures, turns, where, split_in(Path(file.name)), unsaid)
    for reason, count in unsaid.items():
        source.count("conversation left out", count, f"rows {reason}", where=source.path)


def task_of(question: str, answer: str) -> str:
    """The task that a question with its answer is of, whatever the style it is put in."""
    asked = _MARKS.sub(" ", question).strip()
    match = _TOKEN.match(asked)
    token = match[1].lower() if match else ""
    asked = _TOKEN.sub("", asked)
    boxes = len(ORIENTED.findall(answer))
    words = _MARKS.sub(" ", ORIENTED.sub(" ", answer)).replace("<delim>", " ").split()
    if boxes and words:
        return "describe"
    if boxes:
        return "ground" if boxes > 1 else "refer"
    if ORIENTED.search(question):
        return "identify" if len(words) <= _NAME_WORDS else "region"
    return "caption" if token == "caption" or _WHOLE.search(asked) else "question"


def _files(path: Path) -> list[Path]:
    files = []
    for file in table_files(path, (".json", ".jsonl")):
        _, entry = next(entries_of(file, _pass), ("", None))
        if _turns(entry):
            files.append(file)
    return files + shards_in(path)


def entries_of(file: Path, refuse: Refuse = refuse) -> Iterator[tuple[str, Any]]:
    """Where each row stands, and the row; `refuse` is told of damaged ones, and raises them."""
    if file.suffix.lower() == ".json":
        content = load(file)
        entries = content if isinstance(content, list) else [content]
        for number, entry in enumerate(entries):
            yield f"{file}: entry {number}", entry
    elif file.suffix.lower() == ".parquet":
        yield from rows_in(file)
    else:
        yield from rows_of(file, refuse=refuse)


def _pass(error: AnnotationError) -> None:
    """Look for the first sound row."""


def _turns(entry: Any) -> list[Any] | None:
    """The turns or messages of a row, None where it has none of either form."""
    turns = entry.get("conversations", entry.get("messages")) if isinstance(entry, dict) else entry
    if not isinstance(turns, list) or not turns or not isinstance(turns[0], dict):
        return None
    fits = any(keys <= turns[0].keys() for keys in ({"from", "value"}, {"role", "content"}))
    return turns if fits else None


def _conversation(entry: Any, where: str) -> tuple[list[str], Turns]:
    """Pictures and turns of a row.

    Raises:
        AnnotationError: it is of neither form, or a picture is on the web.
    """
    names, spoken = messages_of(entry, where)
    if any(place in text for _, text in spoken for place in _PLACES_OF_OBJECTS):
        raise AnnotationError(
            f"{where}: holds <bbox> or <ref-object> in place of words that stand under `objects`; "
            f"write the boxes and names where they belong, as {{<x1><y1><x2><y2>}}."
        )
    # The recipe's own instruction takes the place of a system's.
    return names, _pairs([turn for turn in spoken if turn[0] != "system"], where)


def messages_of(entry: Any, where: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Pictures of a row, and who says what; pictures of a message are `<image>` in its words.

    Raises:
        AnnotationError: it is of no form that holds messages, or a picture is on the web.
    """
    messages = _turns(entry)
    if messages is None:
        raise AnnotationError(
            f"{where}: expected `image` and `conversations` of `from` and `value`, or messages of "
            f"`role` and `content`; correct it."
        )
    names = _names(entry, where) if isinstance(entry, dict) else []
    turns = []
    for message in messages:
        speaker, text, inside = _message(message, where)
        names += inside
        turns.append((speaker, text))
    for name in names:
        if name.startswith(("http:", "https:")):
            raise AnnotationError(
                f"{where}: '{shown(name)}' lies on the web, where a set may change; fetch its "
                f"pictures and name the files."
            )
    return names, turns


def _names(entry: Json, where: str) -> list[str]:
    """Pictures that stand beside the turns of a row."""
    pictures = entry.get("image") or entry.get("images") or entry.get("video") or []
    names = []
    for picture in pictures if isinstance(pictures, list) else [pictures]:
        name = picture.get("path") if isinstance(picture, dict) else picture
        if not isinstance(name, str):
            raise AnnotationError(f"{where}: expected the name of a picture, got {shown(picture)}.")
        names.append(name)
    return names


def _message(message: Any, where: str) -> tuple[str, str, list[str]]:
    """Who speaks, the words, and the pictures among them."""
    try:
        if "from" in message:
            speaker, content = message["from"], message["value"]
            if not isinstance(content, str):
                raise TypeError("a value that is no text")
        else:
            speaker, content = message["role"], message["content"]
        texts, names = [], []
        for part in [content] if isinstance(content, str) else content or []:
            if isinstance(part, str):
                texts.append(part)
            elif part["type"] == "text":
                texts.append(part["text"])
            elif part["type"] == "image_url":
                url = part["image_url"]
                names.append(url if isinstance(url, str) else url["url"])
                texts.append("<image>")
        if not all(isinstance(name, str) for name in names):
            raise TypeError("an image_url that is no text")
        return str(speaker), "\n".join(texts), names
    except (KeyError, TypeError) as error:
        raise AnnotationError(
            f"{where}: expected messages of `role` and `content`, or turns of `from` and `value` "
            f"({shown(repr(error))}); correct it."
        ) from None


def _pairs(turns: Sequence[tuple[str, str]], where: str) -> Turns:
    pairs = []
    for (asker, question), (answerer, answer) in zip(turns[::2], turns[1::2], strict=False):
        if asker not in ("human", "user") or answerer not in ("gpt", "assistant"):
            raise AnnotationError(
                f"{where}: expected a question and an answer in turns, got {shown(asker)} and "
                f"{shown(answerer)}."
            )
        pairs.append((question, answer))
    if len(turns) % 2:
        raise AnnotationError(f"{where}: the last turn has no answer; add it or remove the turn.")
    return pairs


def _row(
    entry: Any,
    pictures: list[str | Path],
    turns: Turns,
    where: str,
    split: str | None,
    unsaid: Counter[str],
) -> Row:
    """What the turns say of a picture, or of a sequence that begins with it."""
    taught = _Taught()
    for question, answer in turns:
        taught.faults += [*text_faults(question), *text_faults(answer)]
        if not _learn(question, answer, taught):
            unsaid["of a region in words swath does not know"] += 1
    name = entry.get("id") if isinstance(entry, dict) and len(pictures) > 1 else None
    return Row(
        where,
        pictures,
        partial(_outlines, taught.pointed) if taught.pointed else (),
        captions=dict.fromkeys(taught.captions),
        questions=dict.fromkeys(taught.questions),
        faults=taught.faults,
        dialogues=[tuple(turns)],
        other_split=split,
        id=str(name or ""),
        joins=True,
    )


def _learn(question: str, answer: str, taught: _Taught) -> bool:
    """Enter what a pair of turns teaches; whether it was understood."""
    asked = _MARKS.sub(" ", question).strip()
    match = _TOKEN.match(asked)
    token = match[1].lower() if match else ""
    as_written = _TOKEN.sub("", asked)
    asked, plain = " ".join(as_written.split()), " ".join(answer.split())
    if ORIENTED.search(answer):
        _learn_places(question, asked, answer, taught)
    elif ORIENTED.search(question):
        if token not in ("identify", "region") and not _REGION.search(asked):
            return False
        taught.pointed.append((question, plain))
    elif token == "caption" or _WHOLE.search(asked):
        taught.captions.append(plain)
    else:
        words = as_written if lacks_noun(as_written) else asked
        taught.questions.append(Question(words, plain, token))
    return True


def _learn_places(question: str, asked: str, answer: str, taught: _Taught) -> None:
    """Enter the boxes of an answer under its own phrases, else under what is asked."""
    phrases = [match for match in _PHRASE.finditer(answer) if ORIENTED.search(match["boxes"])]
    if phrases:
        taught.pointed += [(match["boxes"], match["phrase"].strip()) for match in phrases]
        words = ORIENTED.sub(" ", answer).replace("<delim>", " ")
        taught.captions.append(sentence(_MARKS.sub(" ", words)))
        return
    marked = _PHRASE.search(question)
    phrase = (marked["phrase"] if marked else _WHERE.sub("", asked)).strip(" ?.")
    taught.pointed.append((answer, phrase or None))
    if not phrase:
        taught.faults.append(("missing noun", f"'{asked}' does not say of what"))


def _outlines(pointed: Sequence[tuple[str, str | None]], size_wh: Size) -> list[Outline]:
    """Objects of a picture, one for a box that a turn names and another describes."""
    objects: dict[bytes, _Object] = {}
    unlike: list[_Object] = []
    for text, phrase in pointed:
        quads = from_grid(numbers(ORIENTED, text), size_wh).quads
        for quad in quads:
            name = class_of(phrase) if phrase else OBJECT
            # A phrase that several boxes answer singles out none of them.
            thing = _Object(quad, name, phrase or "", singles_out=len(quads) == 1)
            before = objects.setdefault(quad.tobytes(), thing)
            if before is thing:
                continue
            if OBJECT not in (before.name, name) and before.name != name:
                unlike.append(thing)
            else:
                objects[quad.tobytes()] = before.joined(thing)
    return [
        Outline(thing.quad, thing.name, thing.phrase or None if thing.singles_out else None)
        for thing in (*objects.values(), *unlike)
    ]


def _picture(name: str, source: Source, where: str) -> str | Path:
    """A picture's name, or the file of one that is held in the row."""
    return unpacked(name, source.unpacked, where) if name.startswith("data:") else name


def unpacked(url: str, pictures: Path | None, where: str) -> Path:
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
