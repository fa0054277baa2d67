from dataclasses import dataclass

import numpy as np
import pytest

from swath.boxes import Boxes
from swath.errors import EvaluationError
from swath.evaluation.predicting import predict, read, unanswered
from swath.evaluation.reading import Labels
from swath.instructions.conversation import Box, user
from tests.evaluation.making import asked

LABELS = ["Airport", "Beach"]
BOX = [[10.0, 10, 20, 10, 20, 20, 10, 20]]


@dataclass
class Answer:
    text: str
    boxes: Boxes | None = None
    refused: bool = False
    confidence: tuple[float, ...] = ()


class Parrot:
    """Answers by id, and finds the candidate with most letters "a" most probable."""

    def __init__(self, **answers):
        self.answers, self.seen = answers, []

    def answer(self, questions, max_new_tokens=64, progress=None):
        self.seen += questions
        for done in range(len(questions)):
            if progress:
                progress(done + 1, len(questions))
        return [self.answers[question.id] for question in questions]

    def score(self, questions, candidates, progress=None):
        self.seen += questions
        if progress:
            progress(len(questions), len(questions))
        return [
            np.log(np.array([1.0 + text.lower().count("a") for text in some]))
            for some in candidates
        ]


def test_a_closed_answer_is_the_most_probable_candidate_with_its_share():
    one = asked("q", "classify", {"label": "Airport"})
    texts = {"Airport": "airport area", "Beach": "beach"}  # 3 + 1 against 1 + 1
    (found,) = predict(Parrot(), [one], LABELS, {"classify": texts})
    assert (found.label, found.answer, found.closed) == ("Airport", "airport area", True)
    assert found.confidence == pytest.approx(4 / 6)
    assert not found.unreadable


def test_closed_tasks_are_weighed_together_each_with_its_own_answers(monkeypatch):
    parrot, calls = Parrot(), []
    score = parrot.score

    def watched(questions, candidates, progress=None):
        calls.append(candidates)
        return score(questions, candidates, progress)

    monkeypatch.setattr(parrot, "score", watched)
    some = [
        asked("a", "count", {"count": 3}),
        asked("b", "classify", {"label": "Beach"}),
    ]
    choices = {"classify": {"Airport": "airport", "Beach": "beach"}, "count": {"1": "1", "3": "aa"}}
    first, second = predict(parrot, some, LABELS, choices)
    assert calls == [[["1", "aa"], ["airport", "beach"]]]
    assert (first.count, second.label) == (3, "Airport")


def test_a_task_with_a_schema_is_asked_for_json_of_it_and_the_others_are_not():
    schema, asked_for = {"type": "object"}, []

    class Bound(Parrot):
        def answer(self, questions, max_new_tokens=64, progress=None, schema=None):
            asked_for.append(([one.id for one in questions], schema))
            return super().answer(questions, max_new_tokens, progress)

    some = [
        asked("a", "caption", {"captions": ["a ship"]}),
        asked("b", "classify", {"label": "Beach"}),
        asked("c", "caption", {"captions": ["a pier"]}),
    ]
    said = Bound(a=Answer("ship"), b=Answer('{"label": "Beach"}'), c=Answer("pier"))
    found = predict(said, some, LABELS, schemas={"classify": schema})
    assert sorted(asked_for, key=str) == [(["a", "c"], None), (["b"], schema)]
    assert [one.answer for one in found] == ["ship", '{"label": "Beach"}', "pier"]
    assert found[1].label == "Beach"


def test_open_and_closed_answers_come_back_in_the_order_of_the_questions():
    some = [
        asked("a", "caption", {"captions": ["a ship"]}),
        asked("b", "classify", {"label": "Beach"}),
        asked("c", "refer", {"boxes": BOX}),
        asked("d", "count", {"count": 3}),
    ]
    parrot = Parrot(
        a=Answer("one ship"), c=Answer("{<1><1>}", Boxes(np.reshape(BOX, (1, 4, 2)))), d=Answer("3")
    )
    steps = []
    found = predict(
        parrot,
        some,
        LABELS,
        {"classify": {label: label for label in LABELS}},
        progress=lambda done, total: steps.append((done, total)),
    )
    assert [one.id for one in found] == ["a", "b", "c", "d"]
    assert found[0].answer == "one ship" and found[0].confidence is None
    assert found[2].boxes == BOX
    assert found[3].count == 3
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_truth_is_not_shown_to_the_engine():
    parrot = Parrot(q=Answer("Beach"))
    predict(parrot, [asked("q", "classify", {"label": "Beach"})], LABELS)
    assert [turn.role for turn in parrot.seen[0].turns] == ["user"]


def test_each_open_answer_that_cannot_be_read_says_why():
    def problem(task, truth, answer, boxes=None):
        return read(asked("q", task, truth), answer, boxes, Labels(LABELS)).problem

    assert problem("classify", {"label": "Beach"}, "a volcano") == "not a label"
    assert problem("classify", {"label": "Beach"}, '{"label"') == "unparsable"
    assert problem("refer", {"boxes": BOX}, "over there") == "no box"
    assert problem("refer", {"boxes": BOX}, "") == "empty"
    assert problem("refer", {"boxes": BOX}, "x", Boxes(np.zeros((2, 4, 2)))) == "several boxes"
    assert problem("count", {"count": 1}, "some") == "no number"
    assert problem("caption", {"captions": ["a"]}, " \n") == "empty"
    assert problem("caption", {"captions": ["a"]}, "a") is None


def test_all_boxes_of_a_phrase_are_kept_and_several_are_no_problem():
    two = Boxes(np.reshape(BOX * 2, (2, 4, 2)))
    found = read(asked("q", "ground", {"boxes": BOX * 2}), "{..}{..}", two, Labels(LABELS))
    assert (found.boxes, found.problem) == (BOX * 2, None)
    none = read(asked("q", "ground", {"boxes": BOX}), "over there", None, Labels(LABELS))
    assert none.problem == "no box" and none.unreadable


def test_how_sure_a_model_is_of_each_box_is_kept():
    two = Boxes(np.reshape(BOX * 2, (2, 4, 2)))
    sure = Parrot(q=Answer("{..}{..}", two, confidence=(0.9, 0.25)))
    unsure = Parrot(q=Answer("{..}{..}", two))
    rows = [asked("q", "ground", {"boxes": BOX})]
    answers = [predict(engine, rows, LABELS)[0] for engine in (sure, unsure)]
    assert [answer.box_confidence for answer in answers] == [[0.9, 0.25], None]


def test_a_description_without_boxes_is_still_read():
    one = asked("q", "describe", {"captions": ["a ship"], "boxes": BOX})
    assert read(one, "a ship", None, Labels(LABELS)).problem is None
    assert read(one, "", None, Labels(LABELS)).problem == "empty"


def test_an_object_is_read_among_the_names_and_the_asked_box_is_kept():
    from dataclasses import replace

    one = asked("q", "identify", {"name": "ship"})
    box = Box(Boxes(np.reshape(BOX, (1, 4, 2))))
    turn = user(*one.turns[0].parts, box)
    one = replace(one, turns=(turn, one.turns[1]))
    (found,) = predict(Parrot(q=Answer("Ships")), [one], LABELS, names=["ship", "plane"])
    assert (found.label, found.problem, found.asked) == ("ship", None, BOX)
    (other,) = predict(Parrot(q=Answer("a tree")), [one], LABELS, names=["ship", "plane"])
    assert other.problem == "not a label"


def test_an_object_that_is_not_among_the_names_is_refused():
    with pytest.raises(EvaluationError, match="not among the 0 names; give all the set's names"):
        predict(Parrot(), [asked("q", "identify", {"name": "ship"})], LABELS)


def test_a_conversation_without_a_scene_is_its_own():
    from dataclasses import replace

    one = replace(asked("q", "count", {"count": 0}), scene="")
    assert unanswered(one).scene == "q"


@pytest.mark.parametrize(
    ("task", "truth", "advice"),
    [
        ("classify", {"label": "Volcano"}, "not among the 2 labels; add it"),
        ("classify", {}, "scored against `label`, which its truth does not hold"),
        ("refer", {"boxes": BOX * 2}, "truth holds 2; rephrase it"),
        ("translate", {}, "'translate' has no metric; tasks that are scored: classify"),
    ],
)
def test_a_truth_that_cannot_be_scored_is_refused_before_anything_is_asked(task, truth, advice):
    parrot = Parrot()
    with pytest.raises(EvaluationError, match=advice):
        predict(parrot, [asked("q", task, truth)], LABELS)
    assert not parrot.seen


def test_nothing_to_ask_is_an_error():
    with pytest.raises(EvaluationError, match="is the test split empty"):
        predict(Parrot(), [], LABELS)


def test_captions_have_no_closed_answers():
    one = asked("q", "caption", {"captions": ["a"]})
    with pytest.raises(EvaluationError, match="'caption' has no closed answers"):
        predict(Parrot(), [one], LABELS, {"caption": {"a": "a"}})


def test_choices_outside_the_labels_are_refused():
    one = asked("q", "classify", {"label": "Beach"})
    with pytest.raises(EvaluationError, match=r"choices name \['Volcano'\]"):
        predict(Parrot(), [one], LABELS, {"classify": {"Volcano": "volcano"}})
