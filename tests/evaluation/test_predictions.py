from dataclasses import replace

import pytest

from swath.errors import FormatError
from swath.evaluation.predictions import Prediction, read_predictions, write_predictions
from tests.evaluation.making import named, predicted


def test_predictions_survive_writing_and_reading(tmp_path):
    box = [0.0, 0.0, 9.5, 0.0, 9.5, 4.0, 0.0, 4.0]
    some = [
        named(1, "Airport", "Airport", closed=True, confidence=0.75),
        predicted(2, "refer", {"boxes": [box]}, boxes=[box], problem="several boxes"),
        predicted(3, "count", {"count": 4}, count=None, problem="no number"),
    ]
    path = tmp_path / "predictions.jsonl"
    assert write_predictions(path, some) == 3
    assert list(read_predictions(path)) == some


def test_an_answer_with_several_boxes_is_readable_and_one_without_is_not():
    one = predicted(1, "refer", {})
    assert not replace(one, problem="several boxes").unreadable
    assert replace(one, problem="no box").unreadable
    assert not one.unreadable


def test_a_row_with_a_missing_field_is_refused_by_name():
    row = named(7, "Airport", "Airport").to_row()
    del row["truth"]
    with pytest.raises(FormatError, match=r"prediction q7: .*truth"):
        Prediction.from_row(row)


def test_a_field_of_another_type_is_refused_in_one_line():
    row = named(7, "Airport", "Airport").to_row() | {"confidence": "high"}
    with pytest.raises(FormatError, match=r"^prediction q7: confidence: .*number.*\.$"):
        Prediction.from_row(row)
    del row["id"]
    with pytest.raises(FormatError, match=r"^prediction \?: id: "):
        Prediction.from_row(row)
