"""Training files: conversations as tuning APIs take them, a JSON object a line, pictures inside.

OpenAI writes a picture as `{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}`,
Mistral `"image_url": "data:..."` as well; the rest is the same in both.
"""

from __future__ import annotations

import binascii
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from swath.annotations.image import AnnotatedImage
from swath.annotations.prepare import Gathered
from swath.errors import ImageryError, InstructionError
from swath.files import replacing
from swath.imagery.picture import picture_header
from swath.instructions.conversation import Conversation, Image, Part, Role, Text, Turn
from swath.instructions.turns import CONVERSE
from swath.recipe import Conversations

LONGEST_LINE = 256 << 20
"""Bytes of a line at most."""
LARGEST_PICTURE = 20 << 20
"""Bytes of a picture at most."""
LARGEST_PICTURE_PX = 64_000_000
MOST_PICTURES = 64
"""Pictures of a conversation at most."""
_TOLD = 3
"""Bad lines that an error quotes; it counts the others."""

_ANOTHER_KIND = {
    "custom_id": "this is a batch's file; each line of a training file is {'messages': [...]}",
    "prompt": "pairs of prompt and completion are not tuned on; write 'messages'",
    "preferred_output": "preferences are not tuned on; write 'messages'",
    "conversations": "this is LLaVA's notation; write 'messages'",
    "labels": "classifiers are not tuned here; write the label as the assistant's words",
    "tools": "tools are not tuned on; leave them out",
    "functions": "functions are not tuned on; leave them out",
}
_MESSAGE_KEYS = {"role", "content", "weight", "name", "prefix"}

Keep = Callable[[bytes], Image]
"""Takes the bytes of a picture that is well; where it is now."""


@dataclass(frozen=True)
class BadLine:
    """Why a line cannot be learnt from.

    Args:
        number: of the line, counted from 1.
        field: as in `messages[1].content[0].image_url`; "" for the whole line.
        reason: what is wrong there, and what to do.
    """

    number: int
    field: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.field}: " if self.field else ""
        return f"line {self.number}: {place}{self.reason}"


@dataclass(frozen=True)
class Example:
    """A line that can be learnt from."""

    number: int
    turns: tuple[Turn, ...]

    @property
    def images(self) -> list[Image]:
        """Its pictures, in order."""
        parts = [part for turn in self.turns for part in turn.parts]
        return [part for part in parts if isinstance(part, Image)]


class _FieldError(Exception):
    """Field and reason of what is wrong in a line, while it is read."""


@dataclass
class TrainingFile:
    """A file's examples, read once.

    Args:
        path: of the file.
        name: in errors.
        style: "openai" or "mistral": whose notation it has to be in.
        skip: share of the lines that may be bad, and are left out.
        control: tokens that steer the model, and are no answers to learn.
    """

    path: Path
    name: str
    style: str
    skip: float = 0.0
    control: tuple[str, ...] = ()
    bad: list[BadLine] = field(default_factory=list)
    count: int = 0

    def examples(self, keep: Keep) -> Iterator[Example]:
        """Each line that can be learnt from.

        Raises:
            InstructionError: there is none, or more lines are bad than may be; the error names
                file, line, field and reason.
        """
        with self.path.open("rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(LONGEST_LINE), b""), 1):
                if not line.strip():
                    continue
                try:
                    turns = _turns(_parsed(line, self.style), self.style, keep)
                    _check_answers(turns, self.control)
                except _FieldError as error:
                    self.bad.append(BadLine(number, *error.args))
                    continue
                self.count += 1
                yield Example(number, turns)
        self._refuse()

    def _refuse(self) -> None:
        if not self.count and not self.bad:
            raise InstructionError(f"{self.name}: the file is empty; it holds nothing to learn.")
        lines = self.count + len(self.bad)
        if self.count and len(self.bad) <= self.skip * lines:
            return
        quoted = "; ".join(str(line) for line in self.bad[:_TOLD])
        further = len(self.bad) - _TOLD
        more = f"; and {further} more bad lines" if further > 0 else ""
        raise InstructionError(f"{self.name}, {quoted}{more}. Correct the file and upload it anew.")


def in_memory(data: bytes) -> Image:
    """A picture that is looked at and not kept: its path is a digest of its bytes.

    Raises:
        ImageryError: it is no picture, or too large.
    """
    kind, size_wh = picture_header(data, "the picture", LARGEST_PICTURE_PX)
    return Image(f"{hashlib.sha256(data).hexdigest()[:32]}.{kind}", size_wh)


@dataclass
class Conversing:
    """The pictures and conversations of a recipe's training files.

    Args:
        section: names the files.
        folder: that pictures are written to, each once.

    Raises:
        InstructionError: see `TrainingFile.examples`.
    """

    section: Conversations
    folder: Path
    images: dict[str, AnnotatedImage] = field(default_factory=dict)
    rows: dict[str, list[Conversation]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        section = self.section
        self.notes: dict[str, Any] = {"split_from": "the files", "bad_lines": {}}
        for split, paths in (("train", section.train), ("val", section.val)):
            for number, path in enumerate(map(Path, paths), 1):
                stem = f"{number}-{path.stem}" if len(paths) > 1 else path.stem
                self._read(path, split, f"{split}/{stem}")
        systems = {row.text("system") for rows in self.rows.values() for row in rows}
        self.notes["system"] = systems.pop() if len(systems) == 1 else None

    @property
    def gathered(self) -> Gathered:
        """The pictures, as those of annotations are gathered."""
        return Gathered(tuple(self.images.values()), self.notes)

    def of(self, image: AnnotatedImage) -> list[Conversation]:
        """The conversations whose first picture it is."""
        return self.rows.get(image.id, [])

    def _read(self, path: Path, split: str, start: str) -> None:
        source = TrainingFile(path, path.name, self.section.style, self.section.skip_invalid)
        for example in source.examples(self._keep):
            keys = [self._add(image, split, path.name) for image in example.images]
            name = f"{start}:{example.number}"
            self.rows[keys[0]].append(
                Conversation(name, CONVERSE, example.turns, split, keys[0], upright=True)
            )
        if source.bad:
            self.notes["bad_lines"][path.name] = [str(line) for line in source.bad]

    def _add(self, image: Image, split: str, source: str) -> str:
        key = f"{split}/{Path(image.path).stem}"
        if key not in self.images:
            self.images[key] = AnnotatedImage(
                key, image.path, image.size_wh, split=split, source=source
            )
        return key

    def _keep(self, data: bytes) -> Image:
        image = in_memory(data)
        path = (self.folder / image.path).absolute()
        if not path.is_file():
            with replacing(path) as temporary:
                temporary.write_bytes(data)
        return Image(str(path), image.size_wh)


def _parsed(line: bytes, style: str) -> dict[str, Any]:
    if len(line) >= LONGEST_LINE:
        raise _FieldError("", f"longer than {LONGEST_LINE >> 20} MiB")
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _FieldError("", f"not valid JSON ({error})") from None
    if isinstance(row, list) and style == "mistral":  # as Mistral's own notebook writes lines
        return {"messages": row}
    if not isinstance(row, dict):
        raise _FieldError("", f"expected an object with 'messages', got {_kind(row)}")
    return row


def _turns(row: dict[str, Any], style: str, keep: Keep) -> tuple[Turn, ...]:
    for key in row:
        if key != "messages":
            raise _FieldError(str(key)[:80], _ANOTHER_KIND.get(key, "unknown key; take it out"))
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _FieldError("messages", "expected a list of messages")
    turns = [
        _turn(message, f"messages[{place}]", style, keep) for place, message in enumerate(messages)
    ]
    for place, turn in enumerate(turns):
        _check_order(turns, place, turn)
    if turns[-1].role != "assistant":
        raise _FieldError(
            f"messages[{len(turns) - 1}].role", "the last message is the assistant's, to be learnt"
        )
    count = sum(isinstance(part, Image) for turn in turns for part in turn.parts)
    if not count:
        raise _FieldError("messages", "no picture; a model that sees is tuned on pictures")
    if count > MOST_PICTURES:
        raise _FieldError("messages", f"{count} pictures; a line may hold {MOST_PICTURES}")
    return tuple(turns)


def _check_answers(turns: tuple[Turn, ...], control: tuple[str, ...]) -> None:
    for place, turn in enumerate(turns):
        words = "".join(part.text for part in turn.parts if isinstance(part, Text))
        for token in control:
            if token in words and turn.role == "assistant":
                raise _FieldError(
                    f"messages[{place}].content",
                    f"the answer holds '{token}', which steers the model; take it out",
                )


def _check_order(turns: list[Turn], place: int, turn: Turn) -> None:
    before = turns[place - 1].role if place else "system"
    expected = "assistant" if before == "user" else "user"
    if turn.role == expected or (turn.role == "system" and place == 0):
        return
    raise _FieldError(
        f"messages[{place}].role",
        f"'{turn.role}' after '{before}'; after a system message, if there is one, user and "
        f"assistant take turns",
    )


def _turn(message: Any, place: str, style: str, keep: Keep) -> Turn:
    if not isinstance(message, dict):
        raise _FieldError(place, f"expected an object, got {_kind(message)}")
    role = _role(message, place, style)
    for key in message:
        if key not in _MESSAGE_KEYS:
            raise _FieldError(f"{place}.{key[:80]}", "not tuned on; take it out")
    if message.get("weight", 1) != 1:
        raise _FieldError(
            f"{place}.weight", "each answer is learnt from alike; write a line for each instead"
        )
    content = message.get("content")
    where = f"{place}.content"
    if isinstance(content, str):
        parts = arranged([Text(content)])
    elif isinstance(content, list):
        parts = _parts(content, where, style, keep)
    else:
        raise _FieldError(where, f"expected words or a list of parts, got {_kind(content)}")
    if not parts:
        raise _FieldError(where, "empty")
    if role != "user" and any(isinstance(part, Image) for part in parts):
        raise _FieldError(where, f"a picture of the {role}'s; the user shows pictures")
    return Turn(role, parts)


def _role(message: dict[str, Any], place: str, style: str) -> Role:
    role = message.get("role")
    if role == "developer" and style == "openai":
        return "system"
    if role == "system" or role == "user" or role == "assistant":
        return role
    if role == "developer":
        advice = "OpenAI's word; Mistral's files say 'system'"
    else:
        advice = "expected 'system', 'user' or 'assistant'"
    raise _FieldError(f"{place}.role", f"{str(role)[:80]!r}: {advice}")


def _parts(content: list[Any], where: str, style: str, keep: Keep) -> tuple[Part, ...]:
    parts: list[Part] = []
    for number, item in enumerate(content):
        place = f"{where}[{number}]"
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "text":
            if not isinstance(item.get("text"), str):
                raise _FieldError(f"{place}.text", "expected words")
            parts.append(Text(item["text"]))
        elif kind == "image_url":
            address = _address(item.get("image_url"), f"{place}.image_url", style)
            parts.append(_picture(address, f"{place}.image_url", keep))
        else:
            raise _FieldError(f"{place}.type", "expected 'text' or 'image_url'")
    return arranged(parts)


def _address(value: Any, where: str, style: str) -> str:
    if isinstance(value, dict) and isinstance(value.get("url"), str):
        return str(value["url"])
    if not isinstance(value, str):
        raise _FieldError(where, "expected {'url': 'data:image/...;base64,...'}")
    if style == "openai":
        raise _FieldError(
            where,
            "a string, as in Mistral's files; OpenAI's have {'url': 'data:...'}. Write it so, or "
            "create the job with Mistral's client",
        )
    return value


def _picture(address: str, where: str, keep: Keep) -> Image:
    head, comma, body = address.partition(",")
    if not head.startswith("data:"):
        raise _FieldError(
            where, "an address; nothing is fetched. Put the picture in: data:image/png;base64,..."
        )
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        raise _FieldError(where, f"expected data:image/...;base64, got '{head[:80]}'")
    if len(body) * 3 // 4 > LARGEST_PICTURE:
        raise _FieldError(where, f"a picture of more than {LARGEST_PICTURE >> 20} MiB")
    try:
        return keep(binascii.a2b_base64(body, strict_mode=True))
    except (binascii.Error, ValueError) as error:
        raise _FieldError(where, f"not base64 ({error})") from None
    except ImageryError as error:
        raise _FieldError(where, str(error).rstrip(".")) from None


def arranged(parts: list[Part]) -> tuple[Part, ...]:
    """Parts of a message as chat arranges them, so that what is learnt is what will be asked.

    Pictures stand before the words, unless words stand between pictures; each text begins a line.
    """
    texts = [part for part in parts if isinstance(part, Text)]
    places = [place for place, part in enumerate(parts) if isinstance(part, Image)]
    if not places:
        words = "\n".join(text.text for text in texts).strip()
        return (Text(words),) if words else ()
    between = places[-1] - places[0] >= len(places)
    if not between:
        parts = [*(parts[place] for place in places), *texts]
    lines: list[Part] = []
    for part in parts:
        if isinstance(part, Text):
            words = part.text.strip()
            lines += [Text("\n" * bool(lines) + words)] if words else []
        else:
            lines += [Text("\n"), part] if lines and between else [part]
    return tuple(lines)


def _kind(value: Any) -> str:
    kinds = {list: "a list", dict: "an object", str: "a string", type(None): "nothing"}
    return kinds.get(type(value), str(value)[:40])
