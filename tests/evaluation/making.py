"""Predictions and conversations for the tests of evaluation."""

from typing import Any

from swath.evaluation.predictions import Prediction
from swath.instructions.conversation import Conversation, Image, assistant, user
from swath.instructions.tasks.truths import OtherTruth, Truth, truth_kind, truth_of


def truth_from(task: str, facts: dict[str, Any]) -> Truth:
    """What of some facts the truth of a task holds."""
    kind = truth_kind(task)
    if kind is OtherTruth:
        return truth_of(task, facts)
    names = kind.__dataclass_fields__.keys()
    return truth_of(task, {name: value for name, value in facts.items() if name in names})


def predicted(number: int, task: str, truth: dict[str, Any], **values: Any) -> Prediction:
    given = {"scene": f"s{number}", "answer": "words", "size_wh": (100, 100)}
    given |= {"question": "What is it?", **values}
    return Prediction(
        id=f"q{number}",
        task=task,
        image=f"/images/{number}.png",
        truth=truth_from(task, truth),
        **given,
    )


def named(number: int, truth: str, label: str | None, **values: Any) -> Prediction:
    problem = None if label else "not a label"
    return predicted(number, "classify", {"label": truth}, label=label, problem=problem, **values)


def asked(
    name: str, task: str, truth: dict[str, Any], size_wh: tuple[int, int] = (100, 100)
) -> Conversation:
    picture = Image(f"/images/{name}.png", size_wh)
    turns = (user(picture, f"{task} this?"), assistant("the truth"))
    scene = f"scene of {name}"
    return Conversation(name, task, turns, scene=scene, truth=truth_from(task, truth))
