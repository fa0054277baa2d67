"""Questions to an engine and its answers read, every one of them: the predictions of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.boxes import Boxes
from swath.errors import EvaluationError
from swath.evaluation.predictions import EMPTY, REFUSED, Prediction, unanswered
from swath.evaluation.reading import Labels, Names
from swath.evaluation.scored_tasks import SCORED, scored_task
from swath.files import Json
from swath.instructions.conversation import Conversation
from swath.instructions.tasks.truths import DECIMALS

if TYPE_CHECKING:
    from swath.models.engine import Engine

Progress = Callable[[int, int], None]


def predict(
    engine: Engine,
    conversations: Sequence[Conversation],
    labels: Sequence[str],
    choices: Mapping[str, Mapping[str, str]] | None = None,
    max_new_tokens: int = 64,
    progress: Progress | None = None,
    names: Sequence[str] = (),
    schemas: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Prediction]:
    """Predictions of an engine, one a conversation, in their order.

    Args:
        conversations: with truth; their last assistant turn is left off before asking.
        choices: the closed tasks: {task: {label: answer text}}. All answer texts are scored, the
            most probable is the answer and its share of the probability the confidence. "classify"
            takes labels, "count" numbers. Every other task is answered in free words.
        max_new_tokens: longest free answer.
        progress: called with (answered, all).
        names: the object names that an answer to "identify" may give.
        schemas: of tasks that are answered in JSON: {task: JSON schema}.

    Raises:
        EvaluationError: no conversation, a truth that is missing or outside the labels, or a task
            that cannot be closed.
    """
    choices = choices or {}
    schemas = schemas or {}
    if not conversations:
        raise EvaluationError("there is nothing to ask; is the test split empty?")
    label_set = Labels(labels)
    asks_names = any(scored_task(conversation).by_name for conversation in conversations)
    name_set = Names(names if asks_names else ())
    for conversation in conversations:
        blank = unanswered(conversation)
        task_row = scored_task(blank)
        task_row.check_truth(blank)
        task_row.check(blank, label_set, name_set)
    for task in choices:
        if task not in SCORED or not SCORED.get(task).closed:
            raise EvaluationError(
                f"task '{task}' has no closed answers; leave it out of the choices."
            )
        unknown = choices[task].keys() - set(label_set.names)
        if SCORED.get(task).by_class and unknown:
            raise EvaluationError(
                f"choices name {sorted(unknown)}, which are not among the labels; add them there."
            )

    total = len(conversations)
    closed = [place for place in range(total) if conversations[place].task in choices]
    questions = [conversations[place] for place in closed]
    step = _onward(progress, 0, total)
    chosen = _closed(engine, questions, choices, label_set, step)
    done = dict(zip(closed, chosen, strict=True))

    open_places: dict[str | None, list[int]] = {}  # by the task whose schema binds the answer
    for place, conversation in enumerate(conversations):
        if place not in done:
            task = conversation.task
            open_places.setdefault(task if task in schemas else None, []).append(place)
    for bound, places in open_places.items():
        questions = [conversations[place].question for place in places]
        step = _onward(progress, len(done), total)
        schema: Json = {} if bound is None else {"schema": schemas[bound]}
        answers = engine.answer(questions, max_new_tokens, step, **schema)
        for place, answer in zip(places, answers, strict=True):
            conversation = conversations[place]
            if answer.refused:
                blank = unanswered(conversation)
                done[place] = replace(blank, answer=answer.text, problem=REFUSED)
            else:
                reply = read(conversation, answer.text, answer.boxes, label_set, name_set)
                if len(answer.confidence) == len(reply.boxes or ()):
                    reply = replace(reply, box_confidence=list(answer.confidence) or None)
                done[place] = reply
    return [done[place] for place in range(total)]


def read(
    conversation: Conversation,
    answer: str,
    boxes: Boxes | None,
    labels: Labels,
    names: Labels | None = None,
) -> Prediction:
    """The prediction that an answer in free words makes.

    Args:
        boxes: boxes of the answer in pixels of the question's image, as the family's dialect read
            them; None if it found none.

    Raises:
        EvaluationError: the conversation is of a task that has no metric.
    """
    blank = unanswered(conversation)
    row = scored_task(blank)
    quads = boxes.to_rows(DECIMALS) if boxes is not None and row.boxes else []
    problem = None if answer.strip() else EMPTY
    answered = replace(blank, answer=answer, boxes=quads or None, problem=problem)
    return row.read(answered, labels, names or Names(()))


def _closed(
    engine: Engine,
    conversations: Sequence[Conversation],
    choices: Mapping[str, Mapping[str, str]],
    labels: Labels,
    progress: Progress | None,
) -> list[Prediction]:
    if not conversations:
        return []
    questions = [conversation.question for conversation in conversations]
    candidates = {task: list(texts.values()) for task, texts in choices.items()}
    each = [candidates[conversation.task] for conversation in conversations]
    scores = engine.score(questions, each, progress=progress)
    predictions = []
    for conversation, logs in zip(conversations, scores, strict=True):
        if not np.isfinite(logs).any():  # of a model elsewhere, which named none of them
            predictions.append(unanswered(conversation))
            continue
        shares = np.exp(logs - np.max(logs))  # (candidates,)
        best = int(np.argmax(shares))
        name = list(choices[conversation.task])[best]
        predictions.append(
            replace(
                read(conversation, name, None, labels),
                answer=candidates[conversation.task][best],
                closed=True,
                problem=None,
                confidence=float(shares[best] / shares.sum()),
            )
        )
    return predictions


def _onward(progress: Progress | None, before: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)
