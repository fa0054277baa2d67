"""Answers made elsewhere: rows of their files matched to a suite's questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from swath.annotations.finding_pictures import UNMEASURED, few
from swath.boxes import Boxes, Size
from swath.dialect import DIALECTS, IN_PIXELS, recognised
from swath.errors import EvaluationError, RequestError
from swath.evaluation.external.answer_files import Given
from swath.evaluation.external.stated_truths import AS_STATED, GRID_PX, plain_name
from swath.evaluation.predicting import read
from swath.evaluation.predictions import READING, Prediction, unanswered
from swath.evaluation.reading import Labels, Names, letters
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.suites.running import Asked
from swath.files import Json
from swath.instructions.conversation import Conversation
from swath.instructions.tasks.truths import AnswerTruth, CountTruth, LabelTruth

MISSING = "missing"
FAILED = "failed"
SEVERAL_ANSWERS = "several answers"
TOO_LONG = "too long"
LONGEST_ANSWER = 100_000
"""Signs of an answer; a longer one, of a model that was not stopped, is unreadable."""


_NOTED = (
    "missing",
    "extra",
    "repeated",
    "not a number",
    "too long",
    "beyond the picture",
    "picture unknown",
)


@dataclass(frozen=True)
class Matched:
    """Predictions of a suite's questions, and what was wrong with the file.

    Args:
        predictions: one a question, in the suite's order.
        by: how rows were matched: "id", "picture and question", "picture", or "order".
        dialect: notation in which boxes were read, "" where none were looked for.
        ids: by what was wrong. "missing": nobody answered them; they count as wrong. "extra": of
            answers to no question of the suite; nothing to score them against. "repeated":
            answered more than once; wrong where the answers differ. "not a number": the answer is
            NaN or Infinity, as pandas writes a hole; unreadable. "too long": longer than
            `LONGEST_ANSWER`; unreadable. "beyond the picture": boxes reach beyond it by more than
            2 % of its side: was another notation meant? They count as they are read.
    """

    predictions: list[Prediction]
    by: str
    dialect: str = ""
    ids: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in _NOTED})

    def notes(self) -> Json:
        """The counts and first ids, for the result's `suite.json`."""
        notes: Json = {"matched_by": self.by}
        if self.dialect:
            notes["dialect"] = self.dialect
        for name, ids in self.ids.items():
            notes[name] = {"count": len(ids), "first": ids[:20]}
        notes["picture unknown"]["of"] = "answers name no picture, so that intervals are by answer"
        return notes


def match(asked: Asked, given: Sequence[Given], dialect: str | None = None) -> Matched:
    """Predictions of every question of a suite from the rows of an answer file.

    Args:
        given: the rows, in any order if they carry ids or pictures.
        dialect: notation of boxes; None recognises it by looking, where it can be only one.

    Raises:
        EvaluationError: rows cannot be told apart, or are in another order than the suite.
        RequestError: there is no such dialect, boxes may be of several, or they are in pixels of
            pictures that nobody has seen.
    """
    notation = _notation(asked, given, dialect)
    by, keys, names = _pairing(asked, given)
    rows: dict[str, list[Given]] = defaultdict(list)
    for name, answer in zip(names, given, strict=True):
        rows[name].append(answer)
    matched = Matched([], by, notation)
    wrong = matched.ids
    if asked.prompt == AS_STATED:
        wrong["picture unknown"] += [row.id for row in given if not (row.image or row.own)]
    wrong["extra"] += [name for name in rows if name not in set(keys)]
    labels, objects = Labels(asked.labels), Names(asked.names)
    for conversation, key in zip(asked.conversations, keys, strict=True):
        id = conversation.id
        answers = rows.get(key, [])
        if len(answers) > 1:
            wrong["repeated"].append(id)
        answered = [answer for answer in answers if not answer.failed]  # it may be asked again
        texts = list(dict.fromkeys(answer.text for answer in answered))
        blank = unanswered(conversation)
        if not texts:
            wrong["missing"].append(id)
            blank = replace(blank, problem=FAILED if answers else MISSING)
        elif len(texts) > 1:
            blank = replace(blank, answer=" | ".join(texts), problem=SEVERAL_ANSWERS)
        elif len(texts[0]) > LONGEST_ANSWER:
            wrong["too long"].append(id)
            blank = replace(blank, answer=texts[0][:1000], problem=TOO_LONG)
        else:
            own = answered[0].own
            if own and own.boxes:
                boxes: Boxes | None = Boxes.from_rows(own.boxes)
            else:
                boxes = _boxes(texts[0], conversation, notation)
            if answered[0].no_number:
                wrong["not a number"].append(id)
            if boxes is not None and _beyond(boxes, conversation.images[0].size_wh):
                wrong["beyond the picture"].append(id)
            blank = read(conversation, texts[0], boxes, labels, objects)
            blank = _as_before(blank, own) if own else blank
        matched.predictions.append(blank)
    return matched


def _as_before(again: Prediction, own: Prediction) -> Prediction:
    """A prediction of swath's that is read again, with what its words do not tell."""
    if own.unreadable and own.problem not in READING:
        again = replace(again, label=None, count=None, boxes=None, problem=own.problem)
    return replace(
        again,
        closed=own.closed,
        confidence=own.confidence,
        clip=own.clip,
        asked=again.asked or own.asked,
    )


def _notation(asked: Asked, given: Sequence[Given], dialect: str | None) -> str:
    """The notation of the answers' boxes, "" where a task has none."""
    if not SCORED.get(asked.suite.task).boxes:
        return ""
    read_before = [bool(answer.own and answer.own.boxes) for answer in given]
    if all(read_before):
        return ""
    texts = [row.text for row, is_read in zip(given, read_before, strict=True) if not is_read]
    truths = [row.truth for row in given if isinstance(row.truth, str)]
    notation = dialect or recognised(texts, truths if asked.prompt == AS_STATED else ())
    sizes = {conversation.images[0].size_wh for conversation in asked.conversations}
    if notation in IN_PIXELS and asked.prompt == AS_STATED and GRID_PX in sizes:
        raise RequestError(
            f"boxes in '{notation}' are pixels, and the answer file says no picture's size; "
            f"give the suite's data with --data."
        )
    return notation


def _boxes(text: str, conversation: Conversation, notation: str) -> Boxes | None:
    if not notation:
        return None
    size = conversation.images[0].size_wh
    if size == UNMEASURED:
        raise EvaluationError(
            f"{conversation.id}: boxes are read on a picture whose size is not known; give the "
            f"pictures with --data."
        )
    boxes = DIALECTS.get(notation).read(text, size)
    return boxes if len(boxes) else None


def _beyond(boxes: Boxes, size_wh: Size) -> bool:
    """Whether a box reaches beyond the picture by more than roundings and turns do."""
    shares = boxes.quads / size_wh
    return bool(shares.min() < -0.02 or shares.max() > 1.02)


@dataclass(frozen=True)
class _Names:
    """How questions, or rows, are called: by id, by picture and by the letters of their words."""

    ids: list[str]
    pictures: list[str]
    words: list[str]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, str]]) -> _Names:
        """The names of an id, a picture and words each."""
        names = cls([], [], [])
        for id, picture, words in rows:
            names.ids.append(plain_name(id))
            names.pictures.append(plain_name(picture))
            names.words.append(_first_line(words))
        return names

    @property
    def pictures_and_words(self) -> list[str]:
        pairs = zip(self.pictures, self.words, strict=True)
        return [f"{picture}?{words}" for picture, words in pairs]


def _pairing(asked: Asked, given: Sequence[Given]) -> tuple[str, list[str], list[str]]:
    """How rows and questions are matched, and their names: the first that most rows share."""
    questions = _Names.of(
        (question.id, Path(question.images[0].path).name, question.text("user"))
        for question in asked.conversations
    )
    rows = _Names.of((row.id, row.image, row.question) for row in given)
    for by, keys, names in (
        ("id", questions.ids, rows.ids),
        ("picture and question", questions.pictures_and_words, rows.pictures_and_words),
        ("picture", questions.pictures, rows.pictures),
        ("picture", questions.pictures, rows.ids),
    ):
        shared = set(names) & set(keys) - {""}
        unique = len(set(keys)) == len(keys)
        enough = 2 * len(shared) > min(len(set(names)), len(keys))
        if unique and enough and not _of_others(questions, rows, keys, names):
            return by, keys, names
    if len(given) == len(asked.conversations) and _running(asked, given):
        _check_order(asked, given, questions, rows)
        numbers = [str(number) for number in range(len(given))]
        return "order", numbers, numbers
    ours = [question.id for question in asked.conversations]
    theirs = [row.id or row.image for row in given]
    raise EvaluationError(
        f"{asked.suite.name}: {len(given)} answers cannot be matched to its {len(ours)} questions; "
        f"the suite's are called {few(ours)}, the file's {few(theirs)}. Are they of this suite and "
        f"split? Then name them by its ids, or write `image` and `question` beside each."
    )


def _of_others(questions: _Names, rows: _Names, keys: list[str], names: list[str]) -> bool:
    """Whether rows of the same names ask something else: numbers from 0 on fit any suite.

    Of names that are words, and of a picture that is asked one thing, wordings may differ.
    """
    places = {key: place for place, key in enumerate(keys)}
    pictures = set(questions.pictures)
    numbered = all(key.isdecimal() for key in keys)
    alike = len(set(questions.words)) == 1
    compared = 0
    different = 0
    for name, picture, row_words in zip(names, rows.pictures, rows.words, strict=True):
        if name not in places:
            continue
        place = places[name]
        same_picture = picture == questions.pictures[place]
        known_picture = picture in pictures
        question_words = questions.words[place]
        worded = numbered and bool(row_words) and not (alike and same_picture)
        contained = row_words in question_words or question_words in row_words
        differs = worded and bool(question_words) and not contained
        compared += worded or known_picture
        different += differs or (known_picture and not same_picture)
    return 10 * different > compared


def _running(asked: Asked, given: Sequence[Given]) -> bool:
    """Whether rows have no names, or only running numbers, and truths that tell their order."""
    names = [row.id for row in given]
    if not any(names):
        return True
    running = [str(number) for number in range(len(names) + 1)]
    counted = names in (running[:-1], running[1:])
    stated = all(isinstance(row.truth, str) for row in given)
    return counted and stated and bool(_plain_truth(asked.conversations[0]))


def _check_order(asked: Asked, given: Sequence[Given], questions: _Names, rows: _Names) -> None:
    """Check that rows stand in the suite's order, by the pictures, words and truths they state."""
    pictures = set(questions.pictures)
    texts = set(questions.words)
    for place, (question, row) in enumerate(zip(asked.conversations, given, strict=True)):
        ours = ""
        theirs = ""
        truth = _plain_truth(question)
        captions = [letters(text) for text in question.truth.get("captions") or ()]
        if isinstance(row.truth, str) and truth and letters(row.truth) != letters(truth):
            ours, theirs = f"'{truth}'", f"states the truth '{row.truth}'"
        elif isinstance(row.truth, str) and captions and letters(row.truth) not in captions:
            ours, theirs = "others", f"states the truth '{row.truth[:60]}'"
        elif rows.pictures[place] in pictures - {questions.pictures[place]}:
            ours, theirs = f"of '{questions.pictures[place]}'", f"is of the picture '{row.image}'"
        elif rows.words[place] in texts - {questions.words[place]}:
            ours, theirs = "another", f"answers '{row.question[:60]}'"
        if theirs:
            raise EvaluationError(
                f"{asked.suite.name}: answer {place + 1} {theirs}, the suite's question "
                f"{place + 1} {ours}: the file is in another order. Score it by the truths it "
                f"states, without --data."
            )


def _plain_truth(question: Conversation) -> str:
    """The truth that a row may state in a word: a class, an answer or a count."""
    truth = question.truth
    if not isinstance(truth, LabelTruth | AnswerTruth | CountTruth):
        return ""
    return SCORED.get(question.task).texts(truth)[0]


def _first_line(text: str) -> str:
    """The letters of a question, an instruction after its first line left off."""
    lines = text.strip().splitlines()
    return letters(lines[0]) if lines else ""
