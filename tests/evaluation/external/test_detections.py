"""Detections made elsewhere: matched to what is there, none dropped, precision by their scores."""

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from swath.cli import app
from swath.errors import EvaluationError, RequestError
from swath.evaluation.external.detections import read_detections, score_detections
from swath.evaluation.scored_tasks import goodness
from swath.evaluation.scoring import score
from swath.evaluation.suites.running import write_result
from swath.evaluation.suites.table import shipped

BOXES = shipped()["boxes"]


@pytest.fixture
def truth(tmp_path):
    """Pictures 1, 2 and 10 with a ship each, of 40 x 40, 40 x 40 and 10 x 10 px."""
    content = {
        "images": [{"id": n, "file_name": f"set/p{n}.jpg"} for n in (10, 1, 2)],
        "categories": [{"id": 7, "name": "ship"}, {"id": 9, "name": "car"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [0, 0, 40, 40]},
            {"id": 2, "image_id": 2, "category_id": 7, "bbox": [0, 0, 40, 40]},
            {"id": 3, "image_id": 10, "category_id": 7, "bbox": [0, 0, 10, 10]},
        ],
    }
    file = tmp_path / "instances_val.json"
    file.write_text(json.dumps(content))
    return file


def row(image, box=(0, 0, 40, 40), score=0.9, **named):
    return {"image_id": image, "bbox": list(box), "score": score, **(named or {"category_id": 7})}


def scored(tmp_path, truth, rows):
    file = tmp_path / "results.json"
    file.write_text(json.dumps(rows))
    return score_detections(BOXES, truth, *read_detections(file))


def values(found):
    return {name: score.value for name, score in found.scores.items()}


def test_precision_goes_by_the_scores_and_f1_by_all_boxes(tmp_path, truth):
    # By score: right (1/3 of the ships), wrong, right (2/3). Precision at recalls 0 to 0.33 is 1
    # (34 of 101), from 0.34 to 0.66 it is 2/3 (33 of 101), then 0.
    rows = [row(1), row(1, (50, 50, 20, 20), 0.8), row(2, score=0.7)]
    found = scored(tmp_path, truth, rows)
    assert values(found)["ap50"] == pytest.approx((34 + 33 * 2 / 3) / 101)
    assert values(found)["ap_small"] == 0.0
    assert "ap_large" not in found.scores  # nothing is there of that size
    assert [one.problem for one in found.predictions][:3] == [None, None, "no box"]
    assert found.notes["without boxes"] == {"count": 1, "first": ["set/p10.jpg"], "of": "pictures"}
    assert found.notes["average precision"] == {"by class": {"ship": values(found)["ap50"]}}


def test_the_wrong_box_first_costs_precision(tmp_path, truth):
    rows = [row(1, score=0.7), row(1, (50, 50, 20, 20), 0.8), row(2, score=0.6)]
    # Wrong, right, right: precision is at best 2/3 up to recall 2/3 (67 of 101).
    assert values(scored(tmp_path, truth, rows))["ap50"] == pytest.approx(67 * 2 / 3 / 101)


@pytest.mark.parametrize("name", [2, "2", "p2.jpg", "p2", "set/p2.jpg", "elsewhere\\p2.jpg"])
def test_pictures_are_known_by_id_name_or_stem(tmp_path, truth, name):
    found = scored(tmp_path, truth, [row(name, category="Ship")])
    assert [one.problem for one in found.predictions][:3] == ["no box", None, "no box"]


def test_what_fits_nothing_is_counted_and_named(tmp_path, truth):
    rows = [row(1), row(1), row(77), row(2, category="kite"), row(2, category_id=9)]
    rows += [row(2, (0, 0, float("nan"), 40)), row(10, score=float("nan")), row(10, (0, 0, -1, 4))]
    found = scored(tmp_path, truth, rows)
    about = {name: note["count"] for name, note in found.notes.items() if "of" in note}
    assert about == {"without boxes": 0, "on no picture of the truth": 1, "repeated": 1,
                     "of no class of the truth": 1, "unreadable": 3}  # fmt: skip
    assert found.notes["of no class of the truth"]["first"] == ["kite"]
    # Those unreadable, the repeated one and the car are wrong boxes: 1 of 6 is right.
    assert sum(len(one.boxes or []) for one in found.predictions) == 6
    assert {score.unreadable for score in found.scores.values()} == {3}
    assert values(found)["ap50"] == pytest.approx(34 / 101)


def test_results_are_written_of_pictures_whose_size_nobody_says(tmp_path, truth):
    found = scored(tmp_path, truth, [row(1)])
    result = write_result(tmp_path / "out", found.asked, found.predictions, more=found.scores)
    assert (result.floors, result.scores["ground"]["ap50"]) == ({}, found.scores["ap50"])


def test_boxes_of_a_class_that_a_picture_does_not_show_are_wrong(tmp_path, truth):
    # Three ships found; and a car on each picture, where no car is: 3 of 6 boxes are right.
    rows = [row(n, (0, 0, 10, 10) if n == 10 else (0, 0, 40, 40)) for n in (1, 2, 10)]
    rows += [row(n, (50, 50, 9, 9), category_id=9) for n in (1, 2, 10)]
    found = scored(tmp_path, truth, rows)
    scores = score(found.predictions, resamples=0)["ground"]
    assert scores["precision@0.5"].value == 3 / 6
    assert scores["recall@0.5"].value == 1
    assert scores["f1@0.5"].value == 2 * 3 / (6 + 3)
    assert goodness(found.predictions) == [1, 1, 1, 0, 0, 0]
    right = score(scored(tmp_path, truth, rows[:3]).predictions, resamples=0)["ground"]
    assert {right[name].value for name in ("precision@0.5", "recall@0.5", "f1@0.5")} == {1}


def test_a_crowd_neither_helps_nor_harms_and_area_tells_the_size(tmp_path, truth):
    content = json.loads(truth.read_text())
    content["annotations"][1]["iscrowd"] = 1
    content["annotations"][0]["area"] = 100  # of its outline: small, though its box is not
    truth.write_text(json.dumps(content))
    found = scored(tmp_path, truth, [row(1), row(2, (5, 5, 9, 9)), row(2), row(10, (0, 0, 10, 10))])
    assert score(found.predictions, resamples=0)["ground"]["f1@0.5"].value == 1
    assert values(found) == pytest.approx({"ap": 1, "ap50": 1, "ap75": 1, "ap_small": 1})


def test_results_of_another_set_or_of_several_pictures_at_once_are_refused(tmp_path, truth):
    with pytest.raises(EvaluationError, match=r"none of 1 boxes is on a picture.*p1\.jpg"):
        scored(tmp_path, truth, [row(77)])
    content = json.loads(truth.read_text())
    content["images"][0]["file_name"] = "other/p1.jpg"
    truth.write_text(json.dumps(content))
    with pytest.raises(EvaluationError, match=r"'p1' may be .*write the picture's path"):
        scored(tmp_path, truth, [row("p1")])
    (tmp_path / "instances_train.json").write_text(truth.read_text())
    (tmp_path / "results.json").unlink()
    with pytest.raises(RequestError, match=r"holds .*instances_train\.json.*say which"):
        score_detections(BOXES, tmp_path, "COCO results", [])


@pytest.fixture
def dota(tmp_path):
    """P1 with a plane and a difficult one, P2 with a plane."""
    for name, lines in (("P1", ["0 0 20 0 20 20 0 20 plane 0", "40 0 60 0 60 20 40 20 plane 1"]),
                        ("P2", ["0 0 20 0 20 20 0 20 plane 0"])):  # fmt: skip
        for folder in ("images", "labelTxt"):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64)).save(tmp_path / "set" / "images" / f"{name}.png")
        (tmp_path / "set" / "labelTxt" / f"{name}.txt").write_text("\n".join(lines))
    results = tmp_path / "results"
    results.mkdir()
    (results / "Task1_plane.txt").write_text(
        "P1 0.9 40 0 60 0 60 20 40 20\n"  # the difficult one: left out
        "P1 0.8 0 0 20 0 20 20 0 20\n"  # right
        "P2 0.7 40 40 60 40 60 60 40 60\n"  # wrong
        "P2 0.6 0 0 20 0 20 20 0 20\n"  # right
    )
    return tmp_path


def test_dota_results_are_scored_by_both_its_forms_without_difficult_ones(dota):
    found = score_detections(BOXES, dota / "set", *read_detections(dota / "results"))
    # Precision is 1 up to recall 1/2, then 2/3: 6 and 5 of 11 points, or two halves.
    assert values(found) == pytest.approx(
        {"map_11": (6 + 5 * 2 / 3) / 11, "map_area": (1 + 2 / 3) / 2}
    )
    one = score_detections(BOXES, dota / "set", *read_detections(dota / "results/Task1_plane.txt"))
    assert values(one) == values(found)


def test_command_shows_writes_and_reads_back_precision_beside_f1(dota):
    out = dota / "out"
    line = ["score", str(dota / "results"), "--suite", f"boxes={dota / 'set'}", "--out", str(out)]
    shown = json.loads(CliRunner().invoke(app, [*line, "--json"], catch_exceptions=False).stdout)
    scores = shown["boxes"]["scores"]
    # Three of four boxes pair with the three that are there: difficult ones count for F1.
    assert scores["f1@0.5"]["value"] == pytest.approx(6 / 7)
    assert scores["map_area"]["value"] == pytest.approx(5 / 6)
    kept = json.loads((out / "scores.json").read_text())
    assert kept["tasks"]["ground"]["metrics"]["map_area"]["value"] == pytest.approx(5 / 6)
    assert "DOTA task 1" in kept["rules"]["map_11"]


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lambda f: (f / "results" / "Task1_plane.txt").write_text("P1 0.9 1 2 3 4"),
         "expected picture, score and 8 coordinates, got 6 fields; are these oriented"),
        (lambda f: (f / "results" / "Task1_plane.txt").unlink(), "holds no Task1_"),
    ],
)  # fmt: skip
def test_results_of_another_form_are_refused(dota, change, advice):
    change(dota)
    with pytest.raises(RequestError, match=advice):
        read_detections(dota / "results")


def test_numbers_for_classes_need_a_file_that_names_them(dota):
    (dota / "r.json").write_text(json.dumps([row("P1")]))
    with pytest.raises(RequestError, match=r"category_id 7 has no name.*write `category`"):
        score_detections(BOXES, dota / "set", *read_detections(dota / "r.json"))


def test_answers_in_words_are_no_detections(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('[{"image_id": "a", "answer": "yes"}]')
    assert read_detections(file) is None
