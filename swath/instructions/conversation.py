"""`Conversation`: turns of text, images and boxes, neutral of any model family's notation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from swath.boxes import Boxes
from swath.dialect import holds_boxes
from swath.errors import FormatError, ShapeError
from swath.files import read_jsonl, write_jsonl
from swath.instructions.tasks.truths import OtherTruth, Truth, truth_of

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Text:
    """Words, as they are."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """Where an image stands among the words.

    Args:
        path: absolute path of the image file.
        size_wh: width and height in pixels; boxes of the conversation are in this frame.
    """

    path: str
    size_wh: tuple[int, int]


@dataclass(frozen=True, eq=False, slots=True)
class Box:
    """Boxes among the words, in pixels of the conversation's image number `image`."""

    boxes: Boxes
    image: int = 0


Part = Text | Image | Box


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says."""

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns about one or more images, with the truth its answer is scored against.

    Args:
        id: unique in its set.
        task: the row of the task table that built it: "classify", "caption", "refer", "count".
        turns: system first if there is one, then user and assistant in turn. To ask, the last
            assistant turn is left off (`question`).
        split: "train", "val" or "test", or None.
        scene: conversations of one scene stay in one split and are resampled together.
        truth: what its answer is scored against, of the task's kind.
        upright: the words name directions ("left", "top"), so the image may not be turned.
    """

    id: str
    task: str
    turns: tuple[Turn, ...]
    split: str | None = None
    scene: str = ""
    truth: Truth = field(default_factory=OtherTruth)
    upright: bool = False

    @property
    def parts(self) -> tuple[Part, ...]:
        """What all turns are made of, in order."""
        return tuple([part for turn in self.turns for part in turn.parts])

    @property
    def images(self) -> tuple[Image, ...]:
        """The images in the order they appear."""
        return tuple([part for part in self.parts if isinstance(part, Image)])

    @property
    def frame(self) -> int:
        """Which image the boxes of an answer lie in: the first of the last turn that shows any."""
        shown = [sum(isinstance(part, Image) for part in turn.parts) for turn in self.turns]
        last = max((place for place, number in enumerate(shown) if number), default=0)
        return sum(shown[:last])

    @property
    def needs_whole_picture(self) -> bool:
        """Whether a number, a box or a count would be wrong if a part of the picture were cut off.

        Boxes may stand among its words too, as a source wrote them.
        """
        if self.truth.needs_whole_picture:
            return True
        return any(isinstance(part, Box) or _boxed(part) for part in self.parts)

    @property
    def question(self) -> Conversation:
        """The same without its last assistant turn: what a model is asked."""
        turns = self.turns[:-1] if self.turns[-1].role == "assistant" else self.turns
        return replace(self, turns=turns)

    def text(self, role: Role) -> str:
        """The words of the last turn of that role, boxes and images left out; "" without one."""
        for turn in reversed(self.turns):
            if turn.role == role:
                return "".join(part.text for part in turn.parts if isinstance(part, Text)).strip()
        return ""

    def to_row(self) -> dict[str, Any]:
        """The conversation as a JSON object; `from_row` is the inverse."""
        return {
            "id": self.id,
            "task": self.task,
            "turns": [
                {"role": turn.role, "parts": [_part_row(part) for part in turn.parts]}
                for turn in self.turns
            ],
            "split": self.split,
            "scene": self.scene,
            "truth": self.truth.to_row(),
            "upright": self.upright,
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Conversation:
        """The conversation that `to_row` wrote.

        Raises:
            FormatError: a field is missing or of another type.
        """
        try:
            return cls(
                id=row["id"],
                task=row["task"],
                turns=_turns(row["turns"]),
                split=_split(row["split"]),
                scene=row["scene"],
                truth=truth_of(row["task"], row["truth"]),
                upright=row["upright"],
            )
        except FormatError as error:
            raise FormatError(f"conversation {row.get('id', '?')}: {error}") from None
        except (KeyError, TypeError, ValueError, AttributeError, ShapeError) as error:
            raise FormatError(f"conversation {row.get('id', '?')}: {error!r}.") from None


def _boxed(part: Part) -> bool:
    return isinstance(part, Text) and holds_boxes(part.text)


def user(*parts: Part | str) -> Turn:
    """A user's turn; plain strings become text."""
    return Turn("user", _parts(parts))


def assistant(*parts: Part | str) -> Turn:
    """An assistant's turn; plain strings become text."""
    return Turn("assistant", _parts(parts))


def system(text: str) -> Turn:
    """The instruction before the first question."""
    return Turn("system", (Text(text),))


def write_conversations(path: Path | str, conversations: Iterable[Conversation]) -> int:
    """Write `conversations.jsonl`; return how many there were."""
    return write_jsonl(path, "conversations", (one.to_row() for one in conversations))


def read_conversations(path: Path | str) -> Iterator[Conversation]:
    """Yield the conversations of a `conversations.jsonl`."""
    return (Conversation.from_row(row) for row in read_jsonl(path, "conversations"))


def _parts(parts: Iterable[Part | str]) -> tuple[Part, ...]:
    return tuple([Text(part) if isinstance(part, str) else part for part in parts])


def _split(name: Any) -> str | None:
    """A split, after which files are named."""
    if name not in (None, "train", "val", "test"):
        raise ValueError(f"unknown split {str(name)[:60]!r}")
    return name  # type: ignore[no-any-return]


def _turns(rows: list[dict[str, Any]]) -> tuple[Turn, ...]:
    if not rows:
        raise ValueError("no turns")
    unknown = {row["role"] for row in rows} - set(get_args(Role))
    if unknown:
        raise ValueError(f"unknown role {sorted(unknown)[0]!r}")
    return tuple(Turn(row["role"], tuple(_part(part) for part in row["parts"])) for row in rows)


def _part_row(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"text": part.text}
    if isinstance(part, Image):
        return {"image": part.path, "size_wh": list(part.size_wh)}
    return {"boxes": part.boxes.to_rows(), "of": part.image}


def _part(row: dict[str, Any]) -> Part:
    if "text" in row:
        return Text(row["text"])
    if "image" in row:
        width, height = row["size_wh"]
        return Image(row["image"], (int(width), int(height)))
    return Box(Boxes.from_rows(row["boxes"]), row["of"])
