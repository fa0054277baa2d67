"""Truths: what the answer to each task is scored against, a class for each kind of answer.

Files hold a truth as a JSON object of its fields; `to_row` and `from_row` write and read it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from functools import cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StrictInt,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass

from swath.boxes import Boxes
from swath.errors import FormatError, ShapeError
from swath.registry import Registry

DECIMALS = 9
"""Of boxes in truths and predictions: more than any score shows, fewer than the noise of floats."""

_CHECKED = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


def _boxes(value: Any) -> Boxes:
    try:
        return value if isinstance(value, Boxes) else Boxes.from_rows(value)
    except (TypeError, ShapeError) as error:
        raise ValueError(str(error)) from None


Quads = Annotated[
    Boxes, BeforeValidator(_boxes), PlainSerializer(lambda boxes: boxes.to_rows(DECIMALS))
]


_of: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


@dataclass(frozen=True, eq=False, config=_CHECKED)
class Truth:
    """What is right. Two truths are equal where files hold them alike.

    `needs_whole_picture` says that a part of the picture would have another truth, so that it may
    not be cut; `boxed` that answers hold boxes.
    """

    needs_whole_picture: ClassVar[bool] = False
    boxed: ClassVar[bool] = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Truth) and self._rounded() == other._rounded()

    def _rounded(self) -> dict[str, Any]:
        """The row with boxes to a thousandth of a pixel, as older files hold them."""
        row = self.to_row()
        return row | {"boxes": Boxes.from_rows(row["boxes"]).to_rows()} if "boxes" in row else row

    def get(self, name: str) -> Any:
        """The field of a name, None where this kind of truth has none."""
        return getattr(self, name, None)

    def to_row(self) -> dict[str, Any]:
        """The truth as a JSON object; `from_row` is the inverse."""
        row: dict[str, Any] = _of(self.__class__).dump_python(self, mode="json", exclude_none=True)
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The truth that `to_row` wrote.

        Raises:
            FormatError: a field is missing, unknown or of another type.
        """
        try:
            truth: Self = _of(cls).validate_python(row)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise FormatError(f"its truth: {where}: {first['msg']}") from None
        return truth


@dataclass(frozen=True, eq=False, config=_CHECKED)
class LabelTruth(Truth):
    """The scene's class."""

    label: str


@dataclass(frozen=True, eq=False, config=_CHECKED)
class LabelsTruth(Truth):
    """All classes that apply."""

    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False, config=_CHECKED)
class NameTruth(Truth):
    """The class of an object."""

    name: str


@dataclass(frozen=True, eq=False, config=_CHECKED)
class AnswerTruth(Truth):
    """The words of a short answer, and the kind of question; "" for none."""

    answer: str
    kind: str = ""

    @property
    def needs_whole_picture(self) -> bool:  # type: ignore[override]
        """Whether a number is answered, which may count or place what would be cut off."""
        return any(sign.isdigit() for sign in self.answer)


@dataclass(frozen=True, eq=False, config=_CHECKED)
class CountTruth(Truth):
    """How many objects there are, and of what."""

    needs_whole_picture = True
    count: StrictInt
    name: str | None = None


@dataclass(frozen=True, eq=False, config=_CHECKED)
class CaptionsTruth(Truth):
    """Sentences any of which is right, and the scene's class where it is known."""

    captions: tuple[str, ...]
    label: str | None = None


@dataclass(frozen=True, eq=False, config=_CHECKED)
class BoxesTruth(Truth):
    """Boxes in pixels of the picture, and the class of what lies in them."""

    needs_whole_picture = True
    boxed = True
    boxes: Quads
    name: str | None = None


@dataclass(frozen=True, eq=False, config=_CHECKED)
class DescriptionTruth(Truth):
    """Sentences on objects, their boxes, and the phrase that each box stands behind."""

    needs_whole_picture = True
    boxed = True
    captions: tuple[str, ...]
    boxes: Quads = field(default_factory=Boxes.empty)
    phrases: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False, config=_CHECKED)
class DamageTruth(Truth):
    """Buildings by degree of damage, and the same as JSON."""

    counts: dict[str, StrictInt]
    answer: str | None = None


@dataclass(frozen=True, eq=False, config=_CHECKED)
class OtherTruth(Truth):
    """Fields of any name: of a plugin's task, of several tasks in one conversation, or none."""

    values: dict[str, Any] = field(default_factory=dict)

    @property
    def needs_whole_picture(self) -> bool:  # type: ignore[override]
        """Whether one of the tasks may not be asked of a part of the picture."""
        return not self.values.keys().isdisjoint(("count", "boxes"))

    def get(self, name: str) -> Any:
        """The field of a name, None without."""
        return self.values.get(name)

    def to_row(self) -> dict[str, Any]:
        """The fields."""
        return dict(self.values)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The truth of some fields."""
        return cls(dict(row))


TRUTHS: Registry[type[Truth]] = Registry(
    "truth",
    "swath.truths",
    {
        "classify": LabelTruth,
        "caption": CaptionsTruth,
        "refer": BoxesTruth,
        "count": CountTruth,
        "ground": BoxesTruth,
        "identify": NameTruth,
        "region": CaptionsTruth,
        "describe": DescriptionTruth,
        "question": AnswerTruth,
        "classes": LabelsTruth,
        "damage": DamageTruth,
    },
)
"""The truth of each task; a plugin whose task has one of its own adds it."""


def truth_kind(task: str) -> type[Truth]:
    """The kind of truth that a task has."""
    return TRUTHS.get(task) if task in TRUTHS else OtherTruth


def truth_of(task: str, row: Mapping[str, Any]) -> Truth:
    """The truth of a task that a file holds; one without fields says nothing.

    Raises:
        FormatError: it is none of that task.
    """
    return truth_kind(task).from_row(row) if row else OtherTruth()
