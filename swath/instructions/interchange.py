"""Conversations in files of others: of LLaVA, OpenAI, Mistral, ms-swift and the Hub.

What needs no change comes back word for word. Boxes stand in words there, in the notation of a
family that the user names; from one notation to the same, no word is looked at.
"""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import orjson

from swath.annotations.finding_pictures import shown
from swath.annotations.formats.llava import entries_of, messages_of, unpacked
from swath.annotations.splits import split_in, split_named
from swath.boxes import Boxes
from swath.dialect import DIALECTS, Dialect
from swath.errors import AnnotationError, InstructionError, RequestError
from swath.files import read_json, replacing_folder, stamp_of, write_json
from swath.imagery.opening import open_scene
from swath.imagery.portable import portable_bytes, portable_kind, portable_name
from swath.instructions.conversation import (
    Box,
    Conversation,
    Image,
    Part,
    Role,
    Text,
    Turn,
    read_conversations,
)
from swath.instructions.tasks.base import stands_upright
from swath.instructions.turns import CONVERSE
from swath.parquet_shards import shards_in, write_shards
from swath.registry import Registry

MARK = "<image>"
"""Stands in words where a picture does."""

KIND = ".swath-conversations"
"""In what `write` wrote: the form. No other folder of swath's, such as a run, has it."""

_SPEAKERS: dict[str, Role] = {"human": "user", "gpt": "assistant"}
_HOLDERS = ("<ref-object>", "<bbox>")  # of ms-swift's `objects`


@dataclass(frozen=True)
class Spoken:
    """A conversation in words: what every form holds.

    Args:
        id: of the row.
        pictures: paths, in the order of the marks in the words.
        turns: role and words; `MARK` stands where a picture does.
        boxes: pixels of each box in the order of the words, where a form keeps them beside these.
        phrases: what stands before boxes in the same form.
        split: of the row, None without.
    """

    id: str
    pictures: tuple[str, ...]
    turns: tuple[tuple[Role, str], ...]
    boxes: tuple[tuple[float, ...], ...] = ()
    phrases: tuple[str, ...] = ()
    split: str | None = None


Write = Callable[[Path, Sequence[Spoken]], None]


def spoken(row: Conversation, dialect: Dialect | None) -> Spoken:
    """A conversation in words.

    Args:
        row: boxes in pixels.
        dialect: how they are written; None leaves them out of the words, as ms-swift does.

    Raises:
        InstructionError: the words hold a picture's mark, which would show one.
    """
    sizes = [image.size_wh for image in row.images]
    turns: list[tuple[Role, str]] = []
    boxes: list[tuple[float, ...]] = []
    for turn in row.turns:
        words = ""
        for part in turn.parts:
            if isinstance(part, Image):
                words += MARK
            elif isinstance(part, Box) and dialect is not None:
                words += dialect.write(part.boxes, sizes[part.image])
            elif isinstance(part, Box):
                corners = part.boxes.hbb.round(2).tolist()
                boxes += [tuple(box) for box in corners]
                words += "<bbox>" * len(corners)
            else:
                _refuse_marks(part.text, row.id, dialect)
                words += part.text
        turns.append((turn.role, words))
    pictures = tuple(image.path for image in row.images)
    return Spoken(row.id, pictures, tuple(turns), tuple(boxes), (), row.split)


def conversation(row: Spoken, dialect: Dialect, images: Sequence[Image]) -> Conversation:
    """The conversation of some words: boxes parsed, all else as it stands.

    Args:
        row: in words, with a mark for each picture.
        dialect: of its boxes.
        images: its pictures, with their sizes.
    """
    waiting = list(images)
    boxes = list(row.boxes)
    phrases = list(row.phrases)
    turns = []
    for role, words in row.turns:
        parts: list[Part] = []
        for piece in re.split(rf"({MARK})", words):
            if piece == MARK and waiting:
                parts.append(waiting.pop(0))
            elif piece:
                for words_or_box in _filled(piece, boxes, phrases):
                    parts += _parsed(words_or_box, dialect, images)
        turns.append(Turn(role, _joined(parts)))
    return Conversation(
        row.id,
        CONVERSE,
        tuple(turns),
        row.split,
        row.pictures[0] if row.pictures else row.id,
        upright=stands_upright(turns),
    )


def read_rows(source: Path, pictures: Path | None = None) -> Iterator[Spoken]:
    """The rows of a file, or of all such files in a folder, in words.

    Pictures that no mark stands for are shown before the first words, as trainers do.

    Args:
        source: of any of the forms.
        pictures: folder that pictures inside rows are written to.

    Raises:
        AnnotationError: a row is of no such form, shows a picture that is not there, or has more
            or fewer pictures, boxes or phrases than its words have places for.
    """
    files = [source] if source.is_file() else _files(source)
    if not files:
        raise AnnotationError(
            f"{source}: no JSON, JSONL or Parquet file of conversations; name one."
        )
    for file in files:
        for number, (where, entry) in enumerate(entries_of(file), 1):
            names, turns = messages_of(entry, where)
            fields = entry if isinstance(entry, dict) else {}
            paths = tuple(_path(name, file.parent, pictures, where) for name in names)
            roles = tuple((_role(speaker, where), words) for speaker, words in turns)
            words = "".join(text for _, text in roles)
            if paths and MARK not in words:
                roles = _shown_first(len(paths), roles, where)
            else:
                _refuse_unequal(words, MARK, len(paths), where)
            boxes, phrases = _objects(fields, where)
            if boxes or phrases:
                _refuse_unequal(words, "<ref-object>", len(phrases), where)
                _refuse_unequal(words, "<bbox>", len(boxes), where)
            split = split_named(fields.get("split"), where) or split_in(Path(file.name))
            name = str(fields.get("id") or f"{file.stem}-{number}")
            yield Spoken(name, paths, roles, boxes, phrases, split)


def write(folder: Path, rows: Iterable[Spoken], form: str) -> int:
    """Write rows as a folder of a form, replacing one that `write` wrote; how many there were.

    Raises:
        RequestError: there is no such form, or the folder holds something else.
        InstructionError: there are no rows.
    """
    writer = FORMS.get(form)
    rows = list(rows)
    if not rows:
        raise InstructionError(f"{folder}: there are no conversations to write.")
    with replacing_folder(folder, KIND) as temporary:
        write_json(temporary / KIND, {"form": form})
        writer(temporary, rows)
    return len(rows)


def form_of(folder: Path) -> str | None:
    """The form of what `write` wrote into a folder; None where it wrote nothing."""
    return read_json(folder / KIND)["form"] if (folder / KIND).is_file() else None


def convert(
    source: Path, folder: Path, form: str, reads: str | None = None, writes: str | None = None
) -> int:
    """Bring conversations of one form into another; how many rows there were.

    Args:
        source: a file or folder of any form, or a set that swath built.
        folder: to write.
        form: a row of `FORMS`.
        reads: dialect of the boxes in `source`; nothing where they may stay as they are.
        writes: dialect of the boxes to be written; nothing for that of `source`.

    Raises:
        RequestError: the notation of boxes is needed and not named, `source` is a run, or `folder`
            holds something else.
    """
    FORMS.get(form)
    built = source / "conversations.jsonl"
    if built.is_file():
        rows = [_written(row, form, writes) for row in read_conversations(built)]
        return write(folder, rows, form)
    if (source / "set" / built.name).is_file():
        raise RequestError(f"{source}: a run; its conversations are in {source / 'set'}.")
    with tempfile.TemporaryDirectory() as pictures:
        rows = list(read_rows(source, Path(pictures)))
        beside = form in BESIDE or any(row.boxes for row in rows)
        if beside or (writes or reads) != reads:
            if reads is None:
                raise RequestError(
                    f"{source}: say which notation its boxes are in, with --from-dialect; one of "
                    f"{', '.join(DIALECTS)}."
                )
            dialect = DIALECTS.get(reads)
            parsed = (conversation(row, dialect, _images(row)) for row in rows)
            rows = [_written(row, form, writes or reads) for row in parsed]
        return write(folder, rows, form)


def _written(row: Conversation, form: str, writes: str | None) -> Spoken:
    if form in BESIDE:
        return spoken(row, None)
    if writes is None and any(isinstance(part, Box) for part in row.parts):
        raise RequestError(
            f"{row.id}: its boxes can be written in several notations; name one with --dialect: "
            f"{', '.join(DIALECTS)}."
        )
    return spoken(row, DIALECTS.get(writes or "geochat"))


def _refuse_marks(text: str, name: str, dialect: Dialect | None) -> None:
    marks = (MARK, *(_HOLDERS if dialect is None else ()))
    for mark in marks:
        if mark in text:
            raise InstructionError(
                f"{name}: its words hold '{mark}', which stands for a picture or a box in such "
                f"files; take it out of the annotations."
            )


def _shown_first(
    pictures: int, turns: tuple[tuple[Role, str], ...], where: str
) -> tuple[tuple[Role, str], ...]:
    """Turns with so many marks before the first words of the user's."""
    for place, (role, words) in enumerate(turns):
        if role == "user":
            marked = (role, f"{MARK * pictures}\n{words}")
            return (*turns[:place], marked, *turns[place + 1 :])
    raise AnnotationError(f"{where}: a picture, and no user who shows it; add the question.")


def _refuse_unequal(words: str, mark: str, count: int, where: str) -> None:
    marks = words.count(mark)
    if marks != count:
        raise AnnotationError(
            f"{where}: its words hold '{mark}' {marks} times, and {count} such things stand beside "
            f"them; each needs its place."
        )


def _filled(text: str, boxes: list[tuple[float, ...]], phrases: list[str]) -> list[str | Box]:
    """Words with what stands beside them put in, box after box."""
    pieces: list[str | Box] = []
    for piece in re.split(r"(<ref-object>|(?:<bbox>)+)", text):
        if piece == "<ref-object>" and phrases:
            pieces.append(phrases.pop(0))
        elif piece.startswith("<bbox>") and len(boxes) >= piece.count("<bbox>"):
            corners = [boxes.pop(0) for _ in range(piece.count("<bbox>"))]
            pieces.append(Box(Boxes.from_hbb(np.array(corners))))
        elif piece:
            pieces.append(piece)
    return pieces


def _parsed(piece: str | Box, dialect: Dialect, images: Sequence[Image]) -> list[Part]:
    """Words with the boxes that they hold in the family's notation."""
    if isinstance(piece, Box) or dialect.span is None or not images:
        return [piece if isinstance(piece, Box) else Text(piece)]
    parts: list[Part] = []
    end = 0
    for match in dialect.span.finditer(piece):
        boxes = dialect.read(match.group(), images[0].size_wh)
        if not len(boxes):
            continue
        if match.start() > end:
            parts.append(Text(piece[end : match.start()]))
        parts.append(Box(boxes))
        end = match.end()
    return [*parts, Text(piece[end:])] if end < len(piece) else parts


def _joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Neighbouring words as one."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, Text) and joined and isinstance(joined[-1], Text):
            joined[-1] = Text(joined[-1].text + part.text)
        else:
            joined.append(part)
    return tuple(joined)


def _role(speaker: str, where: str) -> Role:
    role = _SPEAKERS.get(speaker, speaker)
    if role not in get_args(Role):
        raise AnnotationError(f"{where}: '{shown(speaker)}' speaks; expected user or assistant.")
    return role  # type: ignore[return-value]


def _path(name: str, folder: Path, pictures: Path | None, where: str) -> str:
    if name.startswith("data:"):
        return str(unpacked(name, pictures, where))
    for path in (folder / name, folder / "images" / Path(name).name):
        if stamp_of(path) and path.resolve().is_relative_to(folder.resolve()):
            return str(path.absolute())
    raise AnnotationError(
        f"{where}: the picture '{shown(name)}' is not in {folder}; put the file beside it."
    )


def _objects(
    fields: dict[str, Any], where: str
) -> tuple[tuple[tuple[float, ...], ...], tuple[str, ...]]:
    """Boxes and phrases of ms-swift's `objects`."""
    objects = fields.get("objects")
    if not isinstance(objects, dict):
        return (), ()
    try:
        boxes = tuple(tuple(float(value) for value in box) for box in objects.get("bbox", ()))
        phrases = tuple(map(str, objects.get("ref", ())))
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"{where}: objects.bbox: {error}; expected four numbers.") from None
    if objects.get("bbox_type", "real") != "real" or any(len(box) != 4 for box in boxes):
        raise AnnotationError(f"{where}: objects.bbox holds no boxes of four numbers in pixels.")
    return boxes, phrases


def _images(row: Spoken) -> list[Image]:
    return [Image(path, open_scene(path).size_wh) for path in row.pictures]


def _files(folder: Path) -> list[Path]:
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".json", ".jsonl")]
    return files + shards_in(folder)


def _llava(folder: Path, rows: Sequence[Spoken]) -> None:
    speakers = {"user": "human", "assistant": "gpt", "system": "system"}
    for split, members in _by_split(rows).items():
        entries = []
        for row in members:
            names = [_copied(path, folder) for path in row.pictures]
            turns = [{"from": speakers[role], "value": words} for role, words in row.turns]
            image = {"image": names[0] if len(names) == 1 else names} if names else {}
            entries.append({"id": row.id, **image, "conversations": turns})
        (folder / f"{split}.json").write_bytes(orjson.dumps(entries, option=orjson.OPT_INDENT_2))


def _openai(folder: Path, rows: Sequence[Spoken]) -> None:
    _lines(folder, rows, lambda row: _embedded(row, lambda url: {"url": url}))


def _mistral(folder: Path, rows: Sequence[Spoken]) -> None:
    _lines(folder, rows, lambda row: _embedded(row, lambda url: url))


def _swift(folder: Path, rows: Sequence[Spoken]) -> None:
    def entry(row: Spoken) -> dict[str, Any]:
        fields = _with_files(row, folder)
        if row.boxes or row.phrases:
            fields["objects"] = {"ref": list(row.phrases), "bbox": [list(box) for box in row.boxes]}
        return fields

    _lines(folder, rows, entry)


def _hub(folder: Path, rows: Sequence[Spoken]) -> None:
    """Messages and pictures as the Hub shows them, with a card that says so."""
    _lines(folder, rows, lambda row: _with_files(row, folder))
    _card(folder, rows, "{}.jsonl")


def _parquet(folder: Path, rows: Sequence[Spoken]) -> None:
    """The same in shards that hold the pictures."""

    def entry(row: Spoken) -> dict[str, Any]:
        images = [
            {"bytes": portable_bytes(path), "path": portable_name(path)} for path in row.pictures
        ]
        return {"id": row.id, "messages": _messages(row), "images": images}

    for split, members in _by_split(rows).items():
        write_shards(folder, split, map(entry, members))
    _card(folder, rows, "data/{}-*.parquet")


def _card(folder: Path, rows: Sequence[Spoken], place: str) -> None:
    files = ""
    counts = []
    for split, members in _by_split(rows).items():
        files += f"  - split: {split}\n    path: {place.format(split)}\n"
        counts.append(f"- {split}: {len(members)} conversations")
    (folder / "README.md").write_text(
        "---\ntask_categories:\n- image-text-to-text\ntags:\n- remote-sensing\nconfigs:\n"
        f"- config_name: default\n  data_files:\n{files}---\n\n# Conversations about overhead "
        "images\n\nWritten by swath.\n\n" + "\n".join(counts) + "\n\nEach row holds "
        "`messages` of `role` and `content`, and `images`, one for each `<image>` in them.\n",
        encoding="utf-8",
    )


def _messages(row: Spoken) -> list[dict[str, Any]]:
    return [{"role": role, "content": words} for role, words in row.turns]


def _with_files(row: Spoken, folder: Path) -> dict[str, Any]:
    images = [_copied(path, folder) for path in row.pictures]
    return {"id": row.id, "messages": _messages(row), "images": images}


def _embedded(row: Spoken, address: Callable[[str], Any]) -> dict[str, Any]:
    """Messages whose pictures are data URLs in their parts."""
    waiting = list(row.pictures)
    messages: list[dict[str, Any]] = []
    for role, words in row.turns:
        parts: list[dict[str, Any]] = []
        for piece in re.split(rf"({MARK}\n?)", words):
            if piece.startswith(MARK) and waiting:
                url = f"data:image/{portable_kind(waiting[0])};base64,{_base64(waiting.pop(0))}"
                parts.append({"type": "image_url", "image_url": address(url)})
            elif piece:
                parts.append({"type": "text", "text": piece})
        messages.append({"role": role, "content": parts if role == "user" else words})
    return {"messages": messages}


def _lines(folder: Path, rows: Sequence[Spoken], entry: Callable[[Spoken], dict[str, Any]]) -> None:
    for split, members in _by_split(rows).items():
        with (folder / f"{split}.jsonl").open("wb") as stream:
            for row in members:
                stream.write(orjson.dumps(entry(row)) + b"\n")


def _by_split(rows: Sequence[Spoken]) -> dict[str, list[Spoken]]:
    splits: dict[str, list[Spoken]] = {}
    for row in rows:
        splits.setdefault(row.split or "train", []).append(row)
    return splits


def _base64(path: str) -> str:
    return base64.b64encode(portable_bytes(path)).decode("ascii")


def _copied(path: str, folder: Path) -> str:
    """Where a picture lies in what is written, put there if it is not yet."""
    name = f"images/{portable_name(path)}"
    file = folder / name
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(portable_bytes(path))
    return name


BESIDE = frozenset({"swift"})
"""Forms that keep boxes beside the words, in pixels and upright."""

FORMS: Registry[Write] = Registry(
    "form",
    "swath.forms",
    {
        "llava": _llava,
        "openai": _openai,
        "mistral": _mistral,
        "swift": _swift,
        "hub": _hub,
        "parquet": _parquet,
    },
)
