"""The table of tasks that are scored: what is measured, how answers are read, judged and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from swath.errors import EvaluationError
from swath.evaluation import baselines as blind
from swath.evaluation.baselines import Guess
from swath.evaluation.metrics import caption_scores as captions
from swath.evaluation.metrics import classification, counting, grounding
from swath.evaluation.metrics import several_parts as several
from swath.evaluation.metrics import short_answers as questions
from swath.evaluation.metrics.base import Measures
from swath.evaluation.metrics.ngrams import Sentences, rouge_l
from swath.evaluation.metrics.ptb import tokenise
from swath.evaluation.papers.reading_rules import strict_damage
from swath.evaluation.predictions import (
    NO_BOX,
    SEVERAL_BOXES,
    UNPARSABLE,
    Grouped,
    Prediction,
    Predictions,
)
from swath.evaluation.reading import Labels, read_count, without_boxes
from swath.instructions.conversation import Conversation
from swath.instructions.tasks.truths import (
    BoxesTruth,
    DescriptionTruth,
    LabelTruth,
    NameTruth,
    Truth,
)
from swath.registry import Registry


def read_words(answered: Prediction, labels: Labels, names: Labels) -> Prediction:
    """The words as they are."""
    return answered


def _read_label(answered: Prediction, labels: Labels, names: Labels) -> Prediction:
    label, problem = labels.read(answered.answer)
    return replace(answered, label=label, problem=problem)


def _read_name(answered: Prediction, labels: Labels, names: Labels) -> Prediction:
    return _read_label(answered, names, names)


def _read_count(answered: Prediction, labels: Labels, names: Labels) -> Prediction:
    count, problem = read_count(answered.answer)
    return replace(answered, count=count, problem=problem)


def _read_damage(answered: Prediction, labels: Labels, names: Labels) -> Prediction:
    if answered.problem or strict_damage(answered.answer) is not None:
        return answered
    return replace(answered, problem=UNPARSABLE)


def _read_boxes(answered: Prediction, labels: Labels, names: Labels) -> Prediction:
    if answered.boxes or not len(answered.true(BoxesTruth).boxes):
        return answered
    return replace(answered, problem=answered.problem or NO_BOX)


def _read_box(answered: Prediction, labels: Labels, names: Labels) -> Prediction:
    read = _read_boxes(answered, labels, names)
    return replace(read, problem=SEVERAL_BOXES) if len(read.boxes or []) > 1 else read


def _check_label(blank: Prediction, labels: Labels, names: Labels) -> None:
    label = blank.true(LabelTruth).label
    if label not in labels.names:
        raise EvaluationError(
            f"{blank.id}: its true class '{label}' is not among the {len(labels.names)} labels; "
            "add it, or leave the image out."
        )


def _check_name(blank: Prediction, labels: Labels, names: Labels) -> None:
    name = blank.true(NameTruth).name
    if name not in names.names:
        raise EvaluationError(
            f"{blank.id}: its true object '{name}' is not among the {len(names.names)} names; "
            "give all the set's names, or leave the row out."
        )


def _check_box(blank: Prediction, labels: Labels, names: Labels) -> None:
    count = len(blank.true(BoxesTruth).boxes)
    if count != 1:
        raise EvaluationError(
            f"{blank.id}: a referring expression singles out one box, and its truth holds "
            f"{count}; rephrase it, or leave it out."
        )


def _no_check(blank: Prediction, labels: Labels, names: Labels) -> None:
    """Any truth of the right field will do."""


def _same(field: str, truth: str) -> Callable[[Predictions], list[float]]:
    """1 where what was read is the truth, else 0."""
    return lambda predictions: [
        float(getattr(prediction, field) == prediction.truth.get(truth))
        for prediction in predictions
    ]


def _overlap(predictions: Predictions) -> list[float]:
    return grounding.overlaps(predictions)[0].tolist()


def _box_f1(predictions: Predictions) -> list[float]:
    counts = grounding.hits(predictions)[:, [0, 3, 4]]
    nothing = counts.sum(axis=1) == 0  # there and answered, which is right
    return (grounding.f1(counts) + nothing).tolist()


def _exact_answer(predictions: Predictions) -> list[float]:
    return [float(questions.exact(prediction)) for prediction in predictions]


def _likeness(predictions: Predictions) -> list[float]:
    """ROUGE-L of the words of each answer."""
    answers = [tokenise(without_boxes(prediction.answer)) for prediction in predictions]
    return rouge_l(Sentences.of(answers, captions.references_of(predictions))).tolist()


def _all_right(name: str, measure: Callable[..., Measures]) -> Callable[..., list[float]]:
    """1 where each part of an answer is right, else 0."""

    def goodness(predictions: Predictions) -> list[float]:
        flags = [measure([prediction])[name].right for prediction in predictions]
        return [float(flag is not None and flag[0]) for flag in flags]

    return goodness


def _below_one(prediction: Prediction, good: float) -> bool:
    return good < 1.0


def _missed(prediction: Prediction, good: float) -> bool:
    return good < grounding.THRESHOLD


def _class_unnamed(prediction: Prediction, good: float) -> bool:
    label = prediction.truth.get("label")
    return bool(label) and not captions.names_class(prediction.answer, str(label))


def _nothing_found(prediction: Prediction, good: float) -> bool:
    if len(prediction.true(DescriptionTruth).boxes):
        return not grounding.hits([prediction])[0, 0]
    return _class_unnamed(prediction, good)


@dataclass(frozen=True)
class ScoredTask:
    """A row of the table.

    Args:
        title: as reports head it.
        truth: the field of the truth that answers are scored against.
        measures: every metric of predictions and a label set.
        headline: the metric it is judged by where one number must do.
        goodness: how good each answer is, 0 to 1.
        fails: whether a readable answer of that goodness counts as failed.
        read: what an answer in free words makes of a prediction that holds its words and boxes,
            given the classes and the objects that it may name.
        check: refuses a truth that no answer could meet.
        sliced: the metric of slices, where it is not the headline.
        closed: the answer may be chosen among candidates; `read` reads the choice's name.
        by_degree: sentences, scored by how near they come and not as right or wrong.
        boxes: where boxes are looked for in an answer: "", "alone", or "among words".
        judged: a language model may grade the words.
        longest: tokens that an answer may need, whatever a recipe says.
        may_be_none: an empty truth says that nothing is there; others cannot be scored.
        by_name: answers name objects of the set.
        by_class: answers are classes of the label set, told apart in tables.
        per_kind: share that is right and number of questions, by their kind.
        overlap: what `goodness` is called where it stands behind boxes.
        guesses: answers without looking, by name, from training and test rows of the task.
    """

    title: str
    truth: str
    measures: Callable[[Predictions, Sequence[str]], Measures]
    headline: str
    goodness: Callable[[Predictions], list[float]]
    fails: Callable[[Prediction, float], bool] = _below_one
    read: Callable[[Prediction, Labels, Labels], Prediction] = read_words
    check: Callable[[Prediction, Labels, Labels], None] = _no_check
    sliced: str = ""
    closed: bool = False
    by_degree: bool = False
    boxes: str = ""
    judged: bool = False
    longest: int = 0
    may_be_none: bool = False
    by_name: bool = False
    by_class: bool = False
    per_kind: Callable[[Predictions], dict[str, tuple[float, int]]] = lambda predictions: {}
    overlap: str = ""
    guesses: Mapping[str, Guess] = field(default_factory=dict)

    @property
    def slice_metric(self) -> str:
        """The metric that slices are scored by."""
        return self.sliced or self.headline

    def check_truth(self, prediction: Prediction) -> None:
        """Refuse a truth that does not hold what answers are scored against.

        Raises:
            EvaluationError: it does not.
        """
        value = prediction.truth.get(self.truth)
        if value is None or not (isinstance(value, int) or len(value) or self.may_be_none):
            raise EvaluationError(
                f"{prediction.id}: task '{prediction.task}' is scored against `{self.truth}`, "
                f"which its truth does not hold; rebuild the conversations and predict again."
            )

    def texts(self, truth: Truth) -> list[str]:
        """What is right in words, a reference a line."""
        value = truth.get(self.truth)
        return list(map(str, value)) if isinstance(value, tuple) else [str(value)]


# CIDEr of a part of the test set is on another scale, so captions are sliced by ROUGE-L.
SCORED: Registry[ScoredTask] = Registry(
    "scored task",
    "swath.scored_tasks",
    {
        "classify": ScoredTask(
            "Classes", "label", classification.measures, "accuracy", _same("label", "label"),
            read=_read_label, check=_check_label, closed=True, by_class=True,
            guesses={"majority class": blind.commonest_label},
        ),
        "refer": ScoredTask(
            "Boxes", "boxes", grounding.measures, "acc@0.5", _overlap, _missed,
            read=_read_box, check=_check_box, boxes="alone", overlap="IoU",
            guesses={"mean box": blind.mean_box, "centre box": blind.centre_box},
        ),
        "ground": ScoredTask(
            "All boxes of a phrase", "boxes", grounding.found, "f1@0.5", _box_f1,
            read=_read_boxes, boxes="alone", overlap="F1", longest=256, may_be_none=True,
            guesses={"mean box": blind.mean_box, "centre box": blind.centre_box},
        ),
        "count": ScoredTask(
            "Counts", "count", counting.measures, "exact", _same("count", "count"),
            read=_read_count, closed=True, guesses={"median count": blind.median_count},
        ),
        "identify": ScoredTask(
            "Names of objects", "name", classification.identified, "accuracy",
            _same("label", "name"), read=_read_name, check=_check_name, by_name=True,
            guesses={"commonest name": blind.commonest_label},
        ),
        "question": ScoredTask(
            "Questions", "answer", questions.measures, "exact_answer", _exact_answer, judged=True,
            per_kind=questions.per_kind, guesses={"commonest answer": blind.commonest_answer},
        ),
        "caption": ScoredTask(
            "Captions", "captions", captions.measures, "cider", _likeness, _class_unnamed,
            sliced="rouge_l", by_degree=True, judged=True,
            guesses={"commonest caption": blind.commonest_caption},
        ),
        "region": ScoredTask(
            "Captions of regions", "captions", captions.measures, "cider", _likeness,
            _class_unnamed, sliced="rouge_l", by_degree=True, judged=True,
            guesses={"commonest caption": blind.commonest_caption},
        ),
        "describe": ScoredTask(
            "Descriptions with boxes", "captions", captions.described, "f1@0.5", _likeness,
            _nothing_found, by_degree=True, boxes="among words",
            judged=True, longest=256, guesses={"commonest caption": blind.commonest_caption},
        ),
        "classes": ScoredTask(
            "All classes that apply", "labels", several.classes, "f1_classes",
            _all_right("exact_classes", several.classes), longest=128,
            guesses={"commonest classes": blind.commonest_classes},
        ),
        "damage": ScoredTask(
            "Damage by degree", "counts", several.damage, "mae_damage",
            _all_right("exact_damage", several.damage), read=_read_damage, longest=128,
            guesses={"median damage": blind.median_damage},
        ),
    },
)  # fmt: skip
"""Every task that is scored; a plugin adds rows through the entry point `swath.scored_tasks`."""


def scored_task(prediction: Prediction | Conversation) -> ScoredTask:
    """The row of the task of a prediction or a question.

    Raises:
        EvaluationError: the task has no metric.
    """
    if prediction.task not in SCORED:
        raise EvaluationError(
            f"{prediction.id}: task '{prediction.task}' has no metric; "
            f"tasks that are scored: {', '.join(SCORED)}."
        )
    return SCORED.get(prediction.task)


def guessed(train: Sequence[Conversation], test: Sequence[Conversation]) -> Grouped:
    """The guesses of every task that has both training and test conversations, by their name."""
    predictions: Grouped = {}
    for task, row in SCORED.items():
        training = [conversation for conversation in train if conversation.task == task]
        tested = [conversation for conversation in test if conversation.task == task]
        for name, guess in row.guesses.items() if training and tested else ():
            if answers := guess(training, tested):
                predictions.setdefault(name, []).extend(answers)
    return predictions


def goodness(predictions: Predictions) -> list[float]:
    """How good each answer of one task is, 0 to 1: right or not, IoU, F1, or ROUGE-L of words."""
    return scored_task(predictions[0]).goodness(predictions) if predictions else []


def failed(prediction: Prediction, good: float) -> bool:
    """Whether an answer counts as failed: unreadable, wrong, or IoU below the threshold.

    A caption fails where it is empty or, if the image has a class, does not name it; a description
    also where its boxes find none of the objects it is about; "ground" where any box is amiss.
    """
    return prediction.unreadable or scored_task(prediction).fails(prediction, good)
