"""A short run of `make fuzz`, and texts that hypothesis makes up."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.dialect import DIALECTS, holds_boxes
from swath.errors import AnnotationError, FormatError, SwathError
from swath.evaluation.external.answer_files import read_answers
from swath.evaluation.external.matching_questions import match
from swath.evaluation.external.stated_truths import from_file
from swath.evaluation.predictions import Prediction
from swath.evaluation.scoring import score
from swath.evaluation.suites.table import chosen
from swath.files import read_json, read_jsonl, read_record, write_json
from tests.fuzz.mutating import mutated
from tests.fuzz.seeds import TEXTS

ROOT = Path(__file__).parent.parent.parent
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_changed_files_give_results_or_errors_of_ours():
    command = [sys.executable, "-m", "tests.fuzz", "--cases", "500"]
    env = {**os.environ, "PYTHONSAFEPATH": ""}  # which the command line sets for its own children
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("500 cases in ")


def test_a_change_is_the_same_for_the_same_seed_and_differs_from_the_file():
    sound = b'{"image": "a.png", "boxes": [[1, 2, 3, 4]]}'
    changes = [mutated(sound, ".json", random.Random(seed)) for seed in range(50)]
    assert changes == [mutated(sound, ".json", random.Random(seed)) for seed in range(50)]
    assert sum(change != sound for change in changes) > 40


@settings(deadline=5000, max_examples=200)
@given(st.lists(st.text() | st.sampled_from(TEXTS)), st.tuples(*[st.integers(1, 9999)] * 2))
def test_every_dialect_reads_finite_boxes_from_any_text(pieces, size_wh):
    text = "".join(pieces)
    assert holds_boxes(text) in (True, False)
    for _, dialect in DIALECTS.items():
        assert np.isfinite(dialect.read(text, size_wh).quads).all()


@settings(deadline=5000, max_examples=100)
@given(st.binary() | VALUES.map(lambda value: str(value).encode("utf-8", "replace")))
def test_any_bytes_are_rows_or_an_error_of_ours(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("any")
    for suffix in (".json", ".jsonl", ".txt", ".tsv"):
        file = folder / f"file{suffix}"
        file.write_bytes(content)
        for read in (read_json, read_answers, lambda file: list(read_jsonl(file, "images"))):
            try:
                read(file)
            except SwathError as error:
                assert len(str(error)) < 2000


# What runs of `make fuzz` found


def score_rows(tmp_path, suite, *rows):
    """What `swath score` does with rows of answers."""
    file = tmp_path / "answers.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    ((row, _),) = chosen([suite])
    asked, replies = from_file(row, read_answers(file)[1])
    return score(match(asked, replies).predictions, asked.labels, resamples=0)


@pytest.mark.parametrize("suite", ["aid", "rsvqa-lr"])
def test_an_empty_list_is_no_truth(tmp_path, suite):
    rows = [
        {"question_id": number, "answer": "port", "ground_truth": truth, "image": "p.jpg"}
        for number, truth in enumerate(["port", []])
    ]
    with pytest.raises(AnnotationError, match=r"answer 2 \('1'\) states 0 truths; a '\w+' has one"):
        score_rows(tmp_path, suite, *rows)


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("stages", [{"name": "all", "steps": 2, "seconds": "x"}], "stages.0.seconds"),
        ("stages", 1, "stages"),
        ("finished", [], "finished"),
        ("versions", [1], "versions"),
    ],
)
def test_a_run_s_record_with_a_field_of_another_type_is_refused(tmp_path, field, value, place):
    write_json(tmp_path / "run.json", {"base": "swath-nano", field: value})
    with pytest.raises(FormatError, match=f"run.json: {place}: .*; was it changed by hand"):
        read_record(tmp_path)


def test_a_record_of_an_older_swath_is_filled_up(tmp_path):
    write_json(tmp_path / "run.json", {"base": "swath-nano", "processes": 1})
    run = read_record(tmp_path)
    assert (run["finished"], run["stages"], run["processes"]) == (False, [], 1)


def test_a_prediction_with_a_label_of_another_type_is_refused():
    row = {"id": "1", "task": "classify", "scene": "s", "image": "a.png", "size_wh": [4, 4]}
    row |= {"question": "?", "truth": {"label": "port"}, "answer": "port"}
    assert Prediction.from_row(row | {"label": "port"}).size_wh == (4, 4)
    for wrong in ({"label": ["port"]}, {"boxes": "x"}, {"size_wh": [4]}, {"unknown": 1}):
        with pytest.raises(FormatError, match="prediction 1: "):
            Prediction.from_row(row | wrong)


def test_no_message_is_longer_than_a_page():
    assert len(str(FormatError("a" * 10**6))) == 2000
