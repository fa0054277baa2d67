import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from swath.cli import app, console
from swath.errors import AnnotationError, EvaluationError
from swath.evaluation.predictions import write_predictions
from swath.evaluation.scoring import write_scores
from swath.files import write_jsonl
from tests.evaluation.making import named
from tests.making import rectangle

LABELS = ["Airport", "Beach"]


def result(folder, rights, first=0, truth="Beach", pictures=""):
    other = {"Beach": "Airport", "Airport": "Beach"}[truth]
    some = [named(first + i, truth, truth if right else other) for i, right in enumerate(rights)]
    some = [replace(row, image=f"{pictures}{row.image}") for row in some]
    write_predictions(folder / "predictions.jsonl", some)
    write_scores(folder / "scores.json", some, LABELS, resamples=10)
    return folder


def report(*words):
    done = CliRunner().invoke(app, ["report", *map(str, words)], catch_exceptions=False)
    return done.stdout


def test_the_last_is_compared_with_each_other(tmp_path):
    three = [result(tmp_path / name, rights) for name, rights in
             {"a": [0, 0, 0, 1], "b": [1, 1, 0, 0], "c": [1, 1, 1, 1]}.items()]  # fmt: skip
    found = json.loads(report(*three, "--json"))
    gaps = {name: some["classify"]["accuracy"] for name, some in found["differences"].items()}
    assert {name: gap["value"] for name, gap in gaps.items()} == {"a": 0.75, "b": 0.5}
    assert gaps["a"]["p_mcnemar"] == 0.25  # 3 against 0
    assert found["about"] == "c"
    assert found["left_out"] == {"a": 0, "b": 0, "c": 0}


def test_sets_that_differ_are_compared_on_what_they_share_and_it_is_said(tmp_path):
    one = result(tmp_path / "one", [0, 0, 1])  # 0 1 2
    two = result(tmp_path / "two", [1, 1, 1, 1], first=1)  # 1 2 3 4
    said = " ".join(report(one, two, "--to", tmp_path / "c.html").split())
    assert "The sets differ." in said and "1 of 3 of one, 2 of 4 of two" in said
    assert "The sets differ." in (tmp_path / "c.html").read_text()
    found = json.loads((tmp_path / "c.json").read_text())
    assert found["runs"]["one"]["tasks"]["classify"]["n"] == 2
    assert found["runs"]["one"]["tasks"]["classify"]["scores"]["accuracy"]["value"] == 0.5


def test_questions_of_one_id_that_show_other_pictures_are_told(tmp_path):
    runs = two_runs(tmp_path)
    told = " ".join(report(*runs, "--to", tmp_path / "c.html").split())
    assert "The pictures differ: 1 questions of one id" in told
    assert f"q1 ({tmp_path}/images/1.png in one, {tmp_path}/images/1.png in two)." in told
    assert "The pictures differ" in (tmp_path / "c.html").read_text()
    assert "The pictures differ" not in report(runs[0], result(tmp_path / "elsewhere", [0, 1]))


def two_runs(folder):
    """Runs of two questions about the same names, of which one held something else earlier."""
    runs = []
    for name, earlier in {"one": "another picture", "two": None}.items():
        result(folder / name / "evaluation" / "tuned", [0, 1], pictures=str(folder))
        rows = []
        for number in range(2):
            file = Path(rectangle(folder / "images" / f"{number}.png", (number, 3, 12, 11)))
            content = earlier.encode() if earlier and number else file.read_bytes()
            held = [str(file), len(content), sha256(content).hexdigest()]
            rows.append({"id": file.stem, "files": [held]})
        write_jsonl(folder / name / "set" / "images.jsonl", "images", rows)
        runs.append(folder / name)
    return runs


def test_a_page_does_not_finish_with_pictures_missing_without_a_word(tmp_path):
    one, two = two_runs(tmp_path)
    (tmp_path / "images" / "1.png").unlink()
    with pytest.raises(AnnotationError, match=r"images/1\.png is gone; put them back"):
        report(one, two, "--to", tmp_path / "c.html")
    assert not (tmp_path / "c.html").exists()
    assert "accuracy" in report(one, two)  # the figures need no picture
    answers = [result(tmp_path / name, [0, 1]) for name in ("a", "b")]
    told = " ".join(report(*answers, "--to", tmp_path / "c.html").split())
    assert "2 of 2 pictures are not where the answers name them" in told
    assert "2 of 2 pictures are not where" in (tmp_path / "c.html").read_text()


def test_names_are_the_shortest_ends_that_tell_folders_apart(tmp_path):
    places = [result(tmp_path / name / "aid", [0, 1]) for name in ("one", "two")]
    assert list(json.loads(report(*places, "--json"))["runs"]) == ["one/aid", "two/aid"]


def test_what_cannot_be_compared_is_refused_with_advice(tmp_path):
    one = result(tmp_path / "one", [0, 1])
    (tmp_path / "empty").mkdir()
    for other, advice in {
        one: "give each result once",
        tmp_path / "nowhere": "no such folder",
        tmp_path / "empty": "not evaluated yet; run `swath evaluate",
        tmp_path: "a folder of such; give .*one",
        result(tmp_path / "other", [0, 1], first=7): "no question in common",
        result(tmp_path / "turned", [0, 1], truth="Airport"): "another truth in turned than in one",
    }.items():
        with pytest.raises(EvaluationError, match=advice):
            report(one, other)


def test_names_from_outside_steer_no_terminal(tmp_path):
    hostile = "a\x1b]0;owned\x07\u202eb[red]"
    places = [result(tmp_path / name, [0, 1]) for name in ("one", hostile)]
    told = report(*places)
    assert "]0;ownedb[red]" in told
    assert not {"\x1b", "\x07", "\u202e"} & set(told)
    assert console.harmless("a\x1b[2J\tb\u2066\n") == "a[2J\tb\n"


def test_lines_and_errors_steer_no_terminal(capsys):
    console.say("a\x1b[2Jb")
    console.complain("c\x9bd")
    console.warn(["e\x1bf"])
    out, err = capsys.readouterr()
    assert (out, err) == ("a[2Jb\n", "swath: cd\nwarning: ef\n")
