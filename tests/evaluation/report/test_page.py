import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from swath.errors import EvaluationError
from swath.evaluation.metrics.base import METRICS, Score
from swath.evaluation.metrics.classification import ClassScore
from swath.evaluation.report import charts, gallery, numbers
from swath.evaluation.report.charts import Series
from swath.evaluation.report.gallery import Gallery, Judged
from swath.evaluation.report.page import TEMPLATES, Report, series_of
from swath.evaluation.report.page import write_report as write
from swath.evaluation.report.record import ReportRun
from swath.evaluation.scoring import score
from tests.evaluation.making import named, predicted

EVIL = "<script>alert('x')</script>&\""
LABELS = ["Airport", EVIL]
BOX = [10.0, 10.0, 60.0, 10.0, 60.0, 40.0, 10.0, 40.0]
VOID = {"meta", "img", "br"}


def write_report(path, *values, **options):
    write(path, Report(*values, **options))


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects tags, addresses and ids."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.addresses, self.ids = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        given = dict(attributes)
        self.addresses += [given[name] for name in ("src", "href") if name in given]
        self.ids += [given["id"]] if "id" in given else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def run(name, predictions, losses=(), seconds=None):
    return ReportRun(name, predictions, score(predictions, LABELS), losses, seconds)


@pytest.fixture
def runs(tmp_path):
    picture = tmp_path / "evil <b>.png"
    Image.fromarray(np.full((100, 100, 3), 90, np.uint8)).save(picture)

    def answered(good):
        label = "Airport" if good else None
        return [
            named(1, "Airport", label, answer=f"{EVIL} perhaps"),
            named(2, EVIL, EVIL, answer=EVIL, closed=True, confidence=0.75),
            predicted(
                3,
                "refer",
                {"boxes": [BOX]},
                boxes=[BOX] if good else None,
                problem=None if good else "no box",
                answer=EVIL,
            ),
            predicted(4, "count", {"count": 3}, count=3 if good else 5),
            predicted(5, "caption", {"captions": [f"an airport {EVIL}"]}, answer="an airport"),
        ]

    def pictured(predictions):
        from dataclasses import replace

        return [replace(one, image=str(picture)) for one in predictions]

    losses = [{"step": s, "loss": 3 - s / 50, "stage": f"{EVIL}{s // 50}"} for s in range(100)]
    return [
        run(f"base {EVIL}", pictured(answered(False))),
        run("tuned", pictured(answered(True)), losses, 200),
    ]


def test_the_page_is_whole_and_lets_no_foreign_markup_through(tmp_path, runs):
    path = tmp_path / "report.html"
    write_report(
        path,
        EVIL,
        runs,
        LABELS,
        baselines={EVIL: runs[0].predictions},
        recipe=f"name: {EVIL}",
        card={EVIL: {"licence": EVIL, "counts": [1, 2], "none": {}}},
        versions={EVIL: EVIL},
        command=EVIL,
    )
    text = path.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert "script" not in page.tags
    assert "<b>.png" not in text
    assert text.count("&lt;script&gt;") > 20


def test_sentences_are_said_and_neither_right_nor_wrong():
    truth = {"captions": ["a pier ."]}
    some = [predicted(1, "caption", truth, answer="a pier ."),
            predicted(2, "caption", truth, problem="empty")]  # fmt: skip
    assert ReportRun("tuned", some, {}).outcomes("caption") == {"said": 1, "empty": 1}


def test_the_page_asks_nothing_of_the_network(tmp_path, runs):
    path = tmp_path / "report.html"
    write_report(path, "title", runs, LABELS)
    text = path.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert any(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address[0] == "#"} == set(page.ids)
    assert not re.search(r"url\(|@import|https?://", text)


def test_the_page_shows_both_runs_their_difference_and_what_failed(tmp_path, runs):
    path = tmp_path / "report.html"
    write_report(path, "Harbours", runs, LABELS, command="swath evaluate harbours", made="today")
    text = path.read_text(encoding="utf-8")
    for words in (
        "Harbours",
        "today",
        "swath evaluate harbours",
        "McNemar p = 1",
        "set 1 of 1 answers right",
        "What went right",
        "75 % sure",
        "IoU 1.00",
        'class="true"',
        "prefers-color-scheme: dark",
        "99 steps in 3 min 20 s",
        "tuned − base",
        "all could be read",
    ):
        assert words in text
    assert text.count('class="example"') == 5


def test_json_beside_the_page_has_the_same_figures(tmp_path, runs):
    write_report(
        tmp_path / "r.html",
        "Harbours",
        runs,
        LABELS,
        {"majority class": runs[0].predictions},
        recipe="name: harbours",
        card={"use": "Research only", "leaks": 2, "ledger": [{"source": "a"}]},
        command="swath report x",
        notes=["Not measured: `blind`."],
    )
    found = json.loads((tmp_path / "r.json").read_text())
    tuned = found["runs"]["tuned"]["tasks"]
    assert tuned["classify"]["scores"]["accuracy"]["value"] == 1
    assert tuned["classify"]["confusion"] == [[1, 0, 0], [0, 1, 0]]
    base = found["runs"][runs[0].name]["tasks"]
    assert base["refer"]["outcomes"] == {"right": 0, "wrong": 0, "no box": 1}
    assert found["differences"][runs[0].name]["classify"]["accuracy"]["value"] == 0.5
    assert found["baselines"]["majority class"]["classify"]["accuracy"]["value"] == 0.5
    assert (found["command"], found["may be used for"]) == ("swath report x", "Research only")
    assert (found["leaks"], found["notes"]) == (2, ["Not measured: `blind`."])
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<b>Leakage was allowed</b> (allow_leakage): 2 findings put" in page
    assert "Not measured: <code>blind</code>." in page
    assert "<dt>may be used for</dt><dd>Research only</dd>" in page


def test_certainty_and_slices_are_on_the_page_and_in_the_json(tmp_path):
    def box(side):
        return [0.0, 0, side, 0, side, side, 0, side]

    some = [
        named(i, "a", "a" if i % 4 else "b", closed=True, confidence=0.5 + i / 40, scene=f"{i}")
        for i in range(16)
    ]
    some += [
        predicted(20 + i, "refer", {"boxes": [box(side)]}, boxes=[box(20)], scene=f"{i}")
        for i, side in enumerate((20, 50))
    ]
    run = ReportRun("only", some, score(some, ["a", "b"]), validation=some[:8])
    write_report(tmp_path / "r.html", "t", [run], ["a", "b"])
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for words in ("How sure it is", "chosen on validation (8 answers), n 16",
                  "<code>unsure</code> below p = ", "small (below 32 px)",
                  'aria-label="Reliability"'):  # fmt: skip
        assert words in page
    found = json.loads((tmp_path / "r.json").read_text())["runs"]["only"]["tasks"]
    assert found["classify"]["certainty"]["chosen_on"] == "validation"
    assert found["refer"]["slices"]["object size"]["small (below 32 px)"]["value"] == 1


def test_long_and_foreign_answers_are_shown_and_cut(tmp_path):
    some = [
        predicted(1, "question", {"answer": "no"}, answer="x" * 10_000, question="港口里有船吗？")
    ]
    write_report(tmp_path / "r.html", "t", [ReportRun("only", some, score(some))])
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "港口里有船吗？" in page and "x" * 399 + "…" in page and "x" * 400 not in page


def test_every_title_of_a_score_is_defined_and_every_head_has_a_scope(tmp_path, runs):
    write_report(tmp_path / "r.html", "t", runs, LABELS)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert not re.search(r"<th(?! scope)[ >]", page)
    for task in runs[-1].scores:
        for name in runs[-1].scores[task]:
            assert f">{METRICS[name].title}</abbr>" in page
    assert not re.search(r"<img(?![^>]* alt=\"[^\"]+\")", page)


def test_a_single_run_needs_no_base_and_no_labels(tmp_path):
    path = tmp_path / "report.html"
    some = [predicted(1, "count", {"count": 3}, count=2)]
    write_report(path, "counts", [ReportRun("only", some, score(some))])
    text = path.read_text(encoding="utf-8")
    assert "What failed" in text and "What went right" not in text and "Training" not in text
    assert "1.png cannot be opened" in text


def test_a_report_without_runs_or_with_two_of_one_name_is_refused(tmp_path, runs):
    with pytest.raises(EvaluationError, match="evaluate one first"):
        write_report(tmp_path / "r.html", "t", [])
    with pytest.raises(EvaluationError, match="share a name; rename one"):
        write_report(tmp_path / "r.html", "t", [runs[1], runs[1]], LABELS)


def test_failures_are_unreadable_first_and_then_the_surest():
    some = [
        named(1, "Airport", "Airport"),
        named(2, "Airport", "Beach", confidence=0.4),
        named(3, "Airport", "Beach", confidence=0.9),
        named(4, "Airport", None),
    ]
    judged = Judged.each(some)
    bad = gallery.failures(judged)
    assert [answer.prediction.id for answer in bad] == ["q4", "q3", "q2"]
    good = [answer for answer in judged if not answer.failed]
    assert [answer.prediction.id for answer in gallery.spread(good, 2)] == ["q1"]


def test_a_caption_fails_if_it_is_empty_or_does_not_name_its_class():
    truth = {"captions": ["a port"], "label": "Port"}
    assert gallery.failed(predicted(1, "caption", truth, answer="a beach"), 0.5)
    assert not gallery.failed(predicted(1, "caption", truth, answer="the port"), 0.5)
    assert not gallery.failed(predicted(1, "caption", {"captions": ["a"]}, answer="b"), 0.0)


def test_new_tasks_fail_by_their_own_rules():
    def failed(task, truth, **values):
        one = predicted(1, task, truth, **values)
        return gallery.failed(one, gallery.goodness([one])[0])

    two = {"boxes": [BOX, [c + 30 for c in BOX]], "captions": ["a ship"]}
    assert failed("ground", two, boxes=[BOX])  # one is missing
    assert not failed("ground", two, boxes=two["boxes"])
    assert not failed("ground", {"boxes": []}, answer="none")
    assert failed("ground", {"boxes": []}, boxes=[BOX])
    assert not failed("describe", two, boxes=[BOX])  # something is found
    assert failed("describe", two)
    assert not failed("identify", {"name": "ship"}, label="ship")
    assert failed("identify", {"name": "ship"}, label="plane")
    assert failed("question", {"answer": "yes"}, answer="no")
    assert not failed("region", {"captions": ["a ship"]}, answer="a boat")


def test_the_page_shows_new_tasks_with_the_asked_box_and_the_kinds_of_question(tmp_path):
    two = {"boxes": [BOX, [c + 30 for c in BOX]], "captions": ["a ship at sea"]}
    some = [
        predicted(1, "ground", two, boxes=[BOX]),
        predicted(2, "identify", {"name": "ship"}, label="plane", asked=[BOX]),
        predicted(3, "region", {"captions": ["a ship"]}, asked=[BOX]),
        predicted(4, "describe", two, boxes=[BOX]),
        predicted(5, "question", {"answer": "yes", "kind": "presence"}, answer="yes"),
        predicted(6, "question", {"answer": "3", "kind": "count"}, answer="4"),
    ]
    path = tmp_path / "report.html"
    write_report(path, "tasks", [ReportRun("only", some, score(some))], baselines={"b": some})
    text = path.read_text(encoding="utf-8")
    for words in (
        'class="asked"',
        "asked about",
        "F1 0.67",
        "2 solid boxes",
        "presence</th><td>100.0",
    ):
        assert words in text
    page = Page()
    page.feed(text)
    assert page.open == []


def test_pictures_of_any_mode_become_small_jpegs_and_broken_ones_none(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((900, 600), 7, np.uint8)).save(path)
    assert Gallery().thumbnail(str(path)).startswith("data:image/jpeg;base64,/9j/")
    path.write_bytes(b"no picture")
    assert Gallery().thumbnail(str(path)) is None


def test_a_picture_of_several_examples_is_opened_once(tmp_path, runs):
    opened = []

    def open_image(path):
        opened.append(path)
        return Image.open(path)

    write_report(tmp_path / "r.html", "t", runs, LABELS, open_image=open_image)
    assert (tmp_path / "r.html").read_text().count('class="example"') == 5
    assert len(opened) == 1


def test_a_chart_takes_its_colours_from_the_page_and_is_the_same_each_time():
    rows = [(Series("a", "floor"), Score(0.5, 4, 0, 0.25, 0.75))]
    chart = charts.intervals(METRICS["accuracy"], rows)
    assert chart == charts.intervals(METRICS["accuracy"], rows)
    assert "stroke: var(--floor)" in chart and "#" not in chart and " id=" not in chart
    assert "font-family" not in chart
    assert re.findall(r">(\d+ %)<", chart) == ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]
    page = Page()
    page.feed(chart)
    assert page.open == []


def test_a_loss_that_is_no_number_is_left_out_and_no_losses_make_no_chart():
    rows = [{"step": s, "loss": loss, "stage": "a"} for s, loss in enumerate([2.0, np.nan, 1.0])]
    drawn = charts.loss_curve([(Series("tuned", "tuned"), rows)])
    assert drawn.count('class="curve tuned"') == 1 and "nan" not in drawn
    assert charts.loss_curve([(Series("base", "base"), [])]) == ""


def test_steps_count_on_where_a_stage_begins_again():
    rows = [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    points = charts.running([{"stage": a, "step": s, "loss": 1.0} for a, s in rows])
    assert [step for _, step, _ in points] == [1, 2, 3, 4]
    rows = [("a", 1), ("a", 2), ("b", 3)]
    points = charts.running([{"stage": a, "step": s, "loss": 1.0} for a, s in rows])
    assert [step for _, step, _ in points] == [1, 2, 3]


def test_class_bars_are_ordered_by_the_last_run():
    rows = [ClassScore(name, f1, f1, f1, 5) for name, f1 in (("a", 0.2), ("b", 0.9))]
    (drawn,) = charts.class_bars([(Series("tuned", "tuned"), rows)])
    assert drawn.index("<title>b, n 5</title>") < drawn.index("<title>a, n 5</title>")


def test_the_last_run_has_the_accent_and_the_first_of_several_is_grey():
    some = [ReportRun(name, [], {}) for name in "abc"]
    assert [one.style for one in series_of(some)] == ["base", "c2", "tuned"]
    assert [one.style for one in series_of(some[:1])] == ["tuned"]
    assert len(series_of([ReportRun(str(i), [], {}) for i in range(9)])) == 9


def test_numbers_read_as_people_write_them():
    accuracy, error = METRICS["accuracy"], METRICS["mae"]
    assert numbers.shown(0.8125, accuracy) == "81.2"
    assert numbers.shown(1.256, error) == "1.26"
    assert numbers.shown(-630450369708.69, error) == "−6.3e11"
    assert "up" in numbers.signed(-0.5, error) and "−0.50" in numbers.signed(-0.5, error)
    assert "down" in numbers.signed(-0.5, accuracy)
    assert numbers.signed(0.0, accuracy) == "0.0"
    assert numbers.span(Score(0.0, 4, 0, -0.5, 0.25), accuracy) == "−50.0 to 25.0"
    assert [numbers.duration(s) for s in (42, 200, 7500)] == ["42 s", "3 min 20 s", "2 h 5 min"]
    assert [numbers.p_value(p) for p in (0.0001, 0.034)] == ["p < 0.001", "p = 0.034"]
    assert numbers.part_of(3, 100) == "3 (3.0 %)"
    assert [numbers.counted(n, "scene") for n in (1, 7500)] == ["1 scene", "7,500 scenes"]


def test_a_system_without_a_metric_leaves_its_cell_open():
    systems = [
        (Series("floor", "floor"), {"accuracy": Score(0.5, 4)}),
        (Series("tuned", "tuned"), {"accuracy": Score(0.75, 4, 1, 0.5, 1.0), "ece": Score(0.1, 4)}),
    ]
    table = TEMPLATES.get_template("tables.html").module.scores(systems, {})
    assert "<td>—</td>" in table and "50.0 to 100.0" in table
