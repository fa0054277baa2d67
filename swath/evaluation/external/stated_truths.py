"""Questions as an answer file itself tells them, where a suite's data is not at hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from swath.annotations.finding_pictures import is_picture
from swath.boxes import Boxes
from swath.dialect import DIALECTS, possible
from swath.errors import RequestError
from swath.evaluation.external.answer_files import KINDS, Given
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.suites.items import Item, conversations, stated_truth, vocabulary, words
from swath.evaluation.suites.running import Asked
from swath.evaluation.suites.table import Suite
from swath.instructions.tasks.base import Fact

AS_STATED = "as the answer file says"
GRID_PX = (100, 100)
"""Size given to pictures nobody has seen, so that a 0 to 100 grid counts their pixels."""
_COUNTED_OTHERWISE = frozenset({"qwen-vl", "florence", "paligemma", "internvl"})


def from_file(suite: Suite, given: Sequence[Given]) -> tuple[Asked, list[Given]]:
    """Questions as an answer file itself tells them, and those of its rows that answer the suite.

    The suite's `kinds`, `only` and `without` choose among the rows as they do among its data. Rows
    of one id, picture, question and truth are one question. Boxes are on a grid of 0 to 100 both
    ways, in a notation that counts otherwise and is known by its look, shares of width and height
    where all lie within 0 to 1, or pixels of pictures whose size the suite knows. Nothing can be
    missing then.

    Raises:
        RequestError: a row has no truth, none is of the suite's kinds, or truths are in pixels of
            pictures that nobody has seen.
    """
    answers = [answer for answer in given if _admits(suite, answer)]
    if not answers:
        raise RequestError(
            f"{suite.name}: none of {len(given)} answers is of its kinds of question; is it the "
            f"suite they answer?"
        )
    if SCORED.get(suite.task).boxes:
        answers = _on_grid(suite.task, answers)
    names = _names_of(answers)
    sizes = _sizes(suite, answers)
    items: dict[str, Item] = {}
    for number, (answer, name, size) in enumerate(zip(answers, names, sizes, strict=True), 1):
        if name in items:
            continue
        where = f"answer {number} ('{answer.id}')"
        if answer.truth is None:
            raise RequestError(
                f"{where} states no truth; say where the data of {suite.name} is with --data."
            )
        truth = answer.truth
        if answer.own is None:
            kind = answer.kind.casefold() if "kinds" in suite.options else answer.kind
            truth = stated_truth(suite.task, truth, size, where, kind)
        phrases = {"question": answer.question, "phrase": answer.question}
        scene = answer.own.scene if answer.own else ""
        items[name] = Item(name, (answer.image or name,), Fact(truth, phrases), size, scene)
    labels, objects = vocabulary(item.fact.truth for item in items.values())
    # What was read was among those that may be answered.
    read = {answer.own.label for answer in answers if answer.own and answer.own.label}
    if SCORED.get(suite.task).by_name:
        objects = sorted(read.union(objects))
    else:
        labels = sorted(read.union(labels))
    asked = conversations(suite, list(items.values()), "{question}", labels)
    rows = [replace(answer, id=name) for answer, name in zip(answers, names, strict=True)]
    return Asked(suite, asked, labels, objects, AS_STATED), rows


def _admits(suite: Suite, answer: Given) -> bool:
    """Whether a row is of the suite's task and kinds, as far as it says."""
    if answer.own and answer.own.task != suite.task:
        return False
    kinds = suite.options.get("kinds")
    kind = answer.kind.casefold()
    if kinds and kind and kind not in kinds:
        return False
    for name, values in suite.options.get("only", {}).items():
        value = _field(answer, name)
        if value is not None and value not in values:
            return False
    without = suite.options.get("without", {})
    return not any(_field(answer, name) in values for name, values in without.items())


def _field(answer: Given, name: str) -> Any:
    """What a row says under a name; the kind goes by several."""
    value = answer.fields.get(name)
    return answer.kind or None if value is None and name in KINDS else value


def _names_of(answers: Sequence[Given]) -> list[str]:
    """A name for the question of each row, the same whatever their order where they have ids."""
    questions: dict[str, dict[tuple[str, ...], int]] = defaultdict(dict)
    names = []
    for number, answer in enumerate(answers):
        name = answer.id or answer.image or f"{number}"
        truth = answer.truth.to_row() if answer.own else answer.truth
        question = (answer.image, answer.question, words(truth))
        namesakes = questions[plain_name(name)]
        place = namesakes.setdefault(question, len(namesakes))
        names.append(f"{name}#{place}" if place else name)
    return names


def _on_grid(task: str, answers: Sequence[Given]) -> list[Given]:
    """Answers with their true boxes on a grid of 0 to 100, where their look says how they count."""
    texts = [answer.truth for answer in answers if isinstance(answer.truth, str)]
    (notation, *others) = possible(texts) or [""]
    if not others and notation in _COUNTED_OTHERWISE:
        read = DIALECTS.get(notation).read
        return [
            replace(answer, truth=read(answer.truth, GRID_PX).to_rows(None))
            if isinstance(answer.truth, str)
            else answer
            for answer in answers
        ]
    if any(answer.own or answer.truth is None for answer in answers):
        return list(answers)
    boxes = [
        stated_truth(task, answer.truth, GRID_PX, f"answer {number} ('{answer.id}')").get("boxes")
        for number, answer in enumerate(answers, 1)
    ]
    if max(box.quads.max(initial=0) for box in boxes) > 1:
        return list(answers)
    shares = [Boxes(box.quads * GRID_PX).to_rows(None) for box in boxes]
    return [replace(answer, truth=truth) for answer, truth in zip(answers, shares, strict=True)]


def _sizes(suite: Suite, answers: Sequence[Given]) -> list[tuple[int, int]]:
    """Sizes of the pictures of each row: a grid of 100, or pixels where the boxes need them."""
    if not SCORED.get(suite.task).boxes:
        return [GRID_PX] * len(answers)
    in_pixels = False
    for number, answer in enumerate(answers, 1):
        where = f"answer {number} ('{answer.id}')"
        in_pixels = in_pixels or (
            answer.own is None and _beyond_grid(suite.task, answer.truth, where)
        )
    sizes = []
    for number, answer in enumerate(answers, 1):
        size = GRID_PX
        if answer.own:
            size = answer.own.size_wh
        elif in_pixels:
            sides = suite.options.get("sizes", {})
            side = sides.get(answer.fields.get("dataset"), suite.options.get("size_px"))
            if side is None or isinstance(answer.truth, str):
                raise RequestError(
                    f"answer {number} ('{answer.id}'): its true box lies in pixels, and the file "
                    f"says no picture's size; say where the data of {suite.name} is with --data."
                )
            size = (side, side)
        sizes.append(size)
    return sizes


def _beyond_grid(task: str, truth: Any, where: str) -> bool:
    """Whether the corners of a true box cannot lie on a grid of 0 to 100."""
    if truth is None:
        return False
    boxes = stated_truth(task, truth, GRID_PX, where).get("boxes")
    # Those of a turned box in words may lie outside: they are those before it is turned.
    largest = 150 if isinstance(truth, str) else 105
    return bool(boxes.quads.max(initial=0) > largest)


def plain_name(name: str) -> str:
    """A name without case and a picture's suffix, from which folders are left off."""
    path = Path(name.replace("\\", "/"))
    if is_picture(path):
        return path.stem.lower().strip()
    return (path.name if "/" in name else name).lower().strip()
