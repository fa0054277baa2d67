"""A built set as the files of a dataset repository: rows, pictures and a card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from swath.annotations.contents import refuse_changed
from swath.dialect import DIALECTS
from swath.errors import ExportError, RequestError
from swath.files import write_json, write_text
from swath.imagery.scene import is_frame
from swath.instructions.builder import IMAGES, read_set
from swath.instructions.conversation import Conversation
from swath.instructions.interchange import spoken

MOST_FILES = 20_000
"""Pictures in one commit; the Hub refuses many more."""

_PUBLISHED = ("images", "conversations", "labels", "names", "licences", "ledger", "use", "leaks")
"""Of the set's card; the rest says where its files lie on this machine."""


def dataset_files(folder: Path, temporary: Path, pictures: bool, public: bool) -> dict[str, Path]:
    """Paths in the repository, and where their content lies.

    Each split is a JSONL file of `messages` and `images`, as trainers and swath's own reader
    `llava` take them; boxes stand in GeoChat's notation, on a grid of 0 to 100.

    Args:
        folder: that `swath build` wrote.
        temporary: for what is written here; pictures are taken from where they lie.
        pictures: whether they go along.
        public: whether everybody will see them.

    Raises:
        RequestError: a licence does not let the pictures be published.
        ExportError: a picture is gone or a frame of a clip, or there are too many.
        AnnotationError: a picture is not the one that the set was built from.
        InstructionError: a row's words hold `<image>`, which would show a picture.
    """
    built = read_set(folder)
    if pictures and public:
        _refuse_licences(built.card)
    if pictures:
        _refuse_unknown(folder, built.conversations)
    places = _places(built.conversations) if pictures else {}
    files = {place: Path(path) for path, place in places.items()}
    rows: dict[str, list[bytes]] = {}
    for conversation in built.conversations:
        row = {"id": conversation.id, "task": conversation.task, **_row(conversation, places)}
        rows.setdefault(conversation.split or "train", []).append(orjson.dumps(row))
    for split, lines in rows.items():
        file = temporary / f"{split}.jsonl"
        file.write_bytes(b"\n".join(lines) + b"\n")
        files[file.name] = file
    card = {key: built.card[key] for key in _PUBLISHED if key in built.card}
    write_json(temporary / "card.json", card)
    write_text(temporary / "README.md", dataset_card(card, sorted(rows)))
    return files | {name: temporary / name for name in ("card.json", "README.md")}


def dataset_card(card: dict[str, Any], splits: Sequence[str]) -> str:
    """Markdown with the Hub's header: splits, counts and licences."""
    data_files = "".join(f"  - split: {name}\n    path: {name}.jsonl\n" for name in splits)
    lines = []
    for split, tasks in card["conversations"].items():
        images = card["images"].get(split, 0)
        of_tasks = ", ".join(f"{number} {task}" for task, number in tasks.items())
        lines.append(f"| {split} | {images} | {sum(tasks.values())} | {of_tasks} |")
    counts = "\n".join(lines)
    licences = "\n".join(f"- {name}: {number} images" for name, number in card["licences"].items())
    return f"""---
task_categories: [image-text-to-text]
tags: [remote-sensing, satellite, vision-language, swath]
configs:
- config_name: default
  data_files:
{data_files}---
# Questions and answers about satellite and aerial pictures

Made by `swath build`. Boxes are `{{<x1><y1><x2><y2>|<angle>}}` on a grid of 0 to 100 along width
and height, turned by the angle in degrees. `swath tune RECIPE annotations.source=THIS-FOLDER`
learns from these files again.

| split | images | rows | of |
|---|---|---|---|
{counts}

Classes: {", ".join(card["labels"]) or "none"}.

What it may be used for: {card.get("use", "only what all licences below allow.")}

{licences}
"""


def _refuse_licences(card: dict[str, Any]) -> None:
    unknown = {"source": "this set", "licence": "not stated", "use": "ask"}
    for row in card.get("ledger", [unknown]):
        if row["use"] != "any":
            raise RequestError(
                f"pictures of {row['source']} ({row['licence']}) may not be published by anybody; "
                f"push without --public, or say --no-pictures to publish the rows alone."
            )


def _refuse_unknown(folder: Path, conversations: Sequence[Conversation]) -> None:
    """Let no picture of this machine out but those whose content the set knows.

    A set that somebody sent may name any picture here; it cannot say what that picture holds.
    """
    shown = [image.path for conversation in conversations for image in conversation.images]
    unknown = refuse_changed(folder / IMAGES, shown)
    if unknown:
        raise ExportError(f"{unknown}, or push the rows alone with --no-pictures.")


def _places(conversations: Sequence[Conversation]) -> dict[str, str]:
    """A picture's path here, and its path in the repository."""
    paths: dict[str, str] = {}
    for conversation in conversations:
        for image in conversation.images:
            if image.path in paths:
                continue
            if is_frame(image.path) or not Path(image.path).is_file():
                raise ExportError(
                    f"{image.path}: no picture of its own, a frame of a clip or gone; "
                    f"--no-pictures pushes the rows alone."
                )
            number = len(paths)
            suffix = Path(image.path).suffix.lower()
            paths[image.path] = f"pictures/{number // 1000:03d}/{number:06d}{suffix}"
    if len(paths) > MOST_FILES:
        raise ExportError(
            f"{len(paths)} pictures, and a commit holds {MOST_FILES}; --no-pictures pushes the "
            f"rows alone."
        )
    return paths


def _row(conversation: Conversation, places: dict[str, str]) -> dict[str, Any]:
    """Messages with `<image>` where a picture stands, and the pictures in their order.

    Without a picture its name alone says which one it is.
    """
    row = spoken(conversation, DIALECTS.get("geochat"))
    messages = [{"role": role, "content": words} for role, words in row.turns]
    images = [places.get(path, Path(path).name) for path in row.pictures]
    return {"messages": messages, "images": images}
