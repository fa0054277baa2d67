"""Suites asked of a model, their files, and the report and command line on top of them."""

import json

import pytest
from typer.testing import CliRunner

from swath.boxes import Boxes
from swath.cli import app
from swath.errors import AnnotationError, RequestError
from swath.evaluation.report.page import Report, write_report
from swath.evaluation.report.record import ReportRun
from swath.evaluation.scoring import score
from swath.evaluation.suites.running import Asked, answer, ask, read_results, write_result
from swath.evaluation.suites.table import chosen, shipped
from swath.models.engine import Answer
from swath.recipes import overridden
from tests.evaluation.making import asked as conversation
from tests.evaluation.making import named, predicted
from tests.making import rectangle

RECIPE = overridden({"name": "suites"}, ["evaluation.closed=false"], "test")


class Parrot:
    """An engine that always says the same, with a box."""

    elsewhere = False

    def __init__(self, text):
        self.text, self.longest = text, 0

    def answer(self, questions, max_new_tokens=64, progress=None):
        self.longest = max_new_tokens
        return [Answer(self.text, Boxes.from_hbb([0, 0, 16, 16])) for _ in questions]


@pytest.fixture
def aid(tmp_path):
    """Two scenes of AID's layout, an airport and a beach."""
    for name in ("Airport/a", "Beach/b"):
        rectangle(tmp_path / "data" / "aid" / f"{name}.png")
    return tmp_path / "data"


def test_result_lies_in_its_folder_and_is_read_back(tmp_path, aid):
    asked = ask(shipped()["aid"], aid / "aid")
    answers = answer(Parrot("Beach"), asked, RECIPE)
    written = write_result(tmp_path / "out" / "aid", asked, answers, {"model": "parrot"})
    (back,) = read_results(tmp_path / "out")
    assert back.scores == written.scores
    assert back.scores["classify"]["accuracy"].value == 0.5
    assert back.labels == ["Airport", "Beach"]
    assert back.notes == {"model": "parrot"}
    assert back.modes == {"geochat-scene": {"accuracy": 0.5}}
    assert read_results(tmp_path / "nothing") == []


def test_a_mode_that_cannot_run_is_named_and_stops_no_other(tmp_path):
    captions = ["a road was built", "the scene is the same as before"]
    rows = [predicted(n, "caption", {"captions": captions[: 2 - n]}, answer=captions[0])
            for n in range(2)]  # fmt: skip
    suite = shipped()["levir-cc"].model_copy(update={"modes": ["levir-change", "meteor"]})
    asked = Asked(suite, [conversation(n, "caption", rows[n].truth.to_row()) for n in range(2)])
    result = write_result(tmp_path / "levir", asked, rows)
    assert result.scores["caption"]["bleu4"].value == pytest.approx(1)
    reason = result.modes_not_run["levir-change"]
    assert reason == "q1: LEVIR-CC's rule reads the second reference; leave it out."
    assert {*result.modes, *result.modes_not_run} == {"levir-change", "meteor"}
    write_report(tmp_path / "r.html", Report("r", [ReportRun("levir", rows, result.scores)],
                                             suites=read_results(tmp_path)))  # fmt: skip
    page = (tmp_path / "r.html").read_text()
    assert "By the rule of levir-change: not run, q1: LEVIR-CC" in page


def test_answers_with_many_boxes_get_more_room_than_the_recipe_gives(tmp_path):
    rectangle(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 .25 .25 .5 .5")
    parrot = Parrot("{<0><0><50><50>}")
    (one,) = answer(parrot, ask(shipped()["boxes"], tmp_path), RECIPE)
    assert parrot.longest == 256
    assert score([one], resamples=0)["ground"]["f1@0.5"].value == 1.0


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"task": "clasify"}, "unknown task 'clasify'; did you mean classify"),
        ({"metric": "acuracy"}, "unknown metric 'acuracy'; did you mean accuracy"),
        ({"modes": ["vleo-secne"]}, "unknown mode 'vleo-secne'; did you mean vleo-scene"),
        ({"modes": ["rsvqa-lr"]}, "mode 'rsvqa-lr' scores 'question' answers.*leave it out"),
        ({"prompt": "Which of {label}?"}, r"prompt has \{label\}, which .* it fills \{labels\}"),
    ],
)
def test_a_row_that_could_not_be_asked_or_scored_is_refused_before_asking(aid, change, advice):
    suite = shipped()["aid"].model_copy(update=change)
    with pytest.raises((RequestError, AnnotationError), match=advice):
        ask(suite, aid / "aid")


def test_always_the_same_answer_earns_half_of_a_false_premise(tmp_path):
    """Its two kinds, absent and present, would tell a baseline that knows them what to say."""
    for name, line in (("a", "0 .5 .5 .2 .2"), ("b", "1 .5 .5 .2 .2")):
        rectangle(tmp_path / "images" / f"{name}.png")
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / f"{name}.txt").write_text(line)
    asked = ask(shipped()["false-premise"], tmp_path)
    result = write_result(tmp_path / "out", asked, answer(Parrot("yes"), asked, RECIPE))
    assert result.floors["commonest answer"]["average_answer"].value == 0.5
    assert result.scores["question"]["average_answer"].value == 0.5


def test_report_shows_suites_beside_published_rows_of_the_same_protocol(tmp_path, aid):
    asked = ask(shipped()["aid"], aid / "aid")
    result = write_result(tmp_path / "aid", asked, answer(Parrot("Beach"), asked, RECIPE))
    rows = [named(0, "Beach", "Beach")]
    run = ReportRun("tuned", rows, score(rows, ["Beach"], resamples=10))
    report = Report("t", [run], ["Beach"], suites=[result], resamples=10)
    write_report(tmp_path / "r.html", report)
    page = (tmp_path / "r.html").read_text()
    assert '<h2 id="benchmarks">' in page
    assert '<th scope="row">GeoChat-7B</th><td>72.03</td>' in page
    assert "GeoChat Table 5 (arXiv:2311.15826); 20 % split" in page
    assert "Pixtral-12B" not in page  # supervised


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_command_evaluates_a_model_on_suites(tmp_path, aid):
    out = tmp_path / "out"
    done = run("evaluate", "swath-nano", "--suite", "aid", "--data", aid, "--out", out, "--json")
    shown = json.loads(done.stdout)["aid"]
    assert shown["scores"]["accuracy"]["n"] == 2
    assert shown["published"][0]["system"] == "Qwen-VL"
    names = {path.name for path in (out / "aid").iterdir()}
    assert {"predictions.jsonl", "scores.json", "suite.json", "replies.jsonl"} <= names
    with pytest.raises(RequestError, match="--out"):
        run("evaluate", "swath-nano", "--suite", "aid", "--data", aid)


def test_command_scores_answers_made_elsewhere(tmp_path, aid):
    file = tmp_path / "answers.jsonl"
    file.write_text(json.dumps({"question_id": "airport/a.png", "answer": "airport"}))
    done = run("score", file, "--suite", "aid", "--data", aid, "--out", tmp_path / "s", "--json")
    shown = json.loads(done.stdout)["aid"]
    assert shown["scores"]["accuracy"]["value"] == 0.5  # the missing one is wrong
    assert shown["notes"]["missing"] == {"count": 1, "first": ["Beach/b"]}
    said = run("score", file, "--suite", "aid", "--data", aid).stdout
    assert "missing: 1 answers, first Beach/b" in said


def test_command_compares_results_by_paired_differences(tmp_path, aid):
    asked = ask(shipped()["aid"], aid / "aid")
    for name, said in (("one", "Beach"), ("two", "Airport")):
        write_result(tmp_path / name, asked, answer(Parrot(said), asked, RECIPE))
    done = run("report", tmp_path / "one", tmp_path / "two", "--json", "--to", tmp_path / "c.html")
    gap = json.loads(done.stdout)["differences"]["one"]["classify"]["accuracy"]
    assert (gap["value"], gap["p_mcnemar"]) == (0.0, 1.0)
    assert (tmp_path / "c.html").is_file()


def test_command_lists_suites_and_groups():
    said = run("suites").stdout
    assert "dior-rsvg            refer       7,500  layout-tested DIOR-RSVG" in said
    assert "geochat: aid, ucm" in said
    rows = json.loads(run("suites", "--json").stdout)
    assert rows["groups"]["vleo"] == [suite.name for suite, _ in chosen(["vleo"])]
