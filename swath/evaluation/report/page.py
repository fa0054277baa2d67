"""`report.html`: one page, no network, on how good a run is, what failed, and how it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from swath.evaluation.metrics.base import METRICS, Score
from swath.evaluation.metrics.classification import confusion, per_class
from swath.evaluation.metrics.statistics import RESAMPLES
from swath.evaluation.papers.modes import MODES
from swath.evaluation.predictions import Predictions
from swath.evaluation.report import charts, gallery, suite_page
from swath.evaluation.report.charts import TEMPLATES, Series
from swath.evaluation.report.gallery import BOX_STYLES, Gallery, Judged, OpenImage
from swath.evaluation.report.numbers import FILTERS
from swath.evaluation.report.record import Record, ReportRun, write_record
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.slices import GsdOf
from swath.evaluation.suites.running import Result
from swath.files import Json, refuse_foreign_file, write_text
from swath.imagery.picture import open_image

OUTCOMES = {
    "right": "The class, name, count or answer is the true one; a box has IoU of at least 0.5; all "
    "boxes are found and no more.",
    "wrong": "Readable, and not right.",
    "said": "A sentence was given; the scores say how near it comes.",
    "refused": "The model or its endpoint declined to answer; wrong in every score.",
    "empty": "Nothing was said; wrong in every score.",
}
"""What becomes of an answer; the others are reasons why nothing could be read of it."""

_MACHINE = {"format", "choices", "words"}  # of the card: what only programs read
_FOLDER = Path(__file__).parent
_STYLES = ("base", "c2", "c3", "c4")
Section = Json
Systems = list[tuple[Series, Mapping[str, Score]]]


@dataclass(frozen=True)
class Report:
    """What a report is written from.

    Args:
        title: of the page.
        runs: the base first, the tuned last, which it is about; all on the same questions.
        baselines: predictions made without looking, by name (`baselines.blind`).
        recipe: the resolved recipe, as text.
        card: of the data: sources, licences, counts; nested mappings become tables.
        versions: of the packages, by name.
        command: that made the run.
        made: when; now if not given.
        examples: most failures, and most other answers, to show a task.
        resamples: of the bootstrap, for baselines and differences.
        suites: results on benchmarks, beside published numbers.
        gsd_of: metres of ground a pixel of a picture, for slices.
        notes: what else a reader has to know, such as what was not measured.
    """

    title: str
    runs: Sequence[ReportRun]
    labels: Sequence[str] = ()
    baselines: Mapping[str, Predictions] = field(default_factory=dict)
    recipe: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    made: str = ""
    examples: int = 12
    open_image: OpenImage = open_image
    resamples: int = RESAMPLES
    suites: Sequence[Result] = ()
    gsd_of: GsdOf | None = None
    notes: Sequence[str] = ()

    @property
    def about(self) -> Json:
        """What `report.json` says of the report itself."""
        use = {"may be used for": str(self.card["use"])} if self.card.get("use") else {}
        return {
            "title": self.title,
            "made": self.made,
            "command": self.command,
            "notes": list(self.notes),
            **use,
            "leaks": self.card.get("leaks", 0),
            "ledger": self.card.get("ledger", []),
            "recipe": self.recipe,
            "versions": dict(self.versions),
        }


def write_report(path: Path | str, report: Report) -> None:
    """Write a report's page, and beside it the same as JSON.

    Raises:
        EvaluationError: there is no run, two share a name, or they answered different questions.
        RequestError: another file has the page's name, or that of its JSON.
    """
    path = Path(path)
    beside = path.with_suffix(".json")
    refuse_foreign_file(path, b"swath report")
    refuse_foreign_file(beside, b'"made":')
    if not report.made:
        now = datetime.now().astimezone().strftime("%d %B %Y, %H:%M")
        report = replace(report, made=now)
    record = Record.of(
        report.runs, report.labels, report.baselines, report.gsd_of, report.resamples
    )
    drawer = Gallery(report.open_image)
    sections = {
        "Scores": [_scores(record, task) for task in record.runs[-1].scores],
        "How sure it is": _certainty(record),
        "By class": _by_class(report),
        "Benchmarks": [suite_page.view(result) for result in report.suites],
        "Training": _training(report.runs),
        "What failed": _examples(report, drawer, failures=True),
        "What went right": _examples(report, drawer, failures=False),
        "Data": {name: value for name, value in report.card.items() if name not in _MACHINE},
        "How it was made": {
            "rules": {metric.title: metric.rule for metric in record.metrics.values()},
            "recipe": report.recipe,
            "versions": report.versions,
        },
    }
    facts = {"made": report.made, "runs": ", ".join(run.name for run in report.runs)}
    if report.card.get("use"):
        facts["may be used for"] = str(report.card["use"])
    write_record(beside, record, report.about, report.suites)
    page = TEMPLATES.get_template("report.html")
    text = page.render(
        report=report,
        facts=facts,
        record=record,
        sections={name: content for name, content in sections.items() if content},
    )
    write_text(path, text + "\n")


TEMPLATES.filters |= FILTERS
TEMPLATES.globals |= {
    "css": Markup(_FOLDER.joinpath("report.css").read_text("utf-8")),
    "METRICS": METRICS,
    "MODES": MODES,
    "SCORED": SCORED,
    "OUTCOMES": OUTCOMES,
    "BOX_STYLES": BOX_STYLES,
}


def series_of(runs: Sequence[ReportRun]) -> list[Series]:
    """The runs as chart series: the last in the accent colour, the first of several in grey."""
    *earlier, last = runs
    styles = _STYLES if len(earlier) <= len(_STYLES) else ["c2"] * len(earlier)
    series = [Series(run.name, style) for run, style in zip(earlier, styles, strict=False)]
    return [*series, Series(last.name, "tuned")]


def _named(runs: Sequence[ReportRun]) -> list[tuple[Series, ReportRun]]:
    return list(zip(series_of(runs), runs, strict=True))


def _scores(record: Record, task: str) -> Section:
    """A task's scores of every system, their differences, outcomes and slices."""
    runs = record.runs
    systems: Systems = []
    for name, scores in record.floors.items():
        if task in scores:
            systems.append((Series(name, "floor"), scores[task]))
    for series, run in _named(runs):
        if task in run.scores:
            systems.append((series, run.scores[task]))
    headline = SCORED.get(task).headline
    chart = Markup("")
    if len(systems) > 1:
        rows = [(series, scores[headline]) for series, scores in systems]
        chart = charts.intervals(METRICS[headline], rows)
    gaps = {
        f"{runs[-1].name} − {name}": differences[task]
        for name, differences in record.gaps.items()
        if task in differences
    }
    return {
        "title": SCORED.get(task).title,
        "headline": METRICS[headline],
        "chart": chart,
        "systems": systems,
        "gaps": gaps,
        "outcomes": [
            (series, run.outcomes(task)) for series, run in _named(runs) if task in run.tasks
        ],
        "changes": _changes(runs, task) if gaps and not SCORED.get(task).by_degree else None,
        "slice_metric": METRICS[SCORED.get(task).slice_metric],
        "slices": _slices(record, task),
    }


def _slices(record: Record, task: str) -> dict[str, Systems]:
    """By way of slicing: the systems that have such slices, and their scores."""
    ways: dict[str, Systems] = {}
    for way in record.slices[record.runs[-1].name].get(task, {}):
        ways[way] = []
        for series, run in _named(record.runs):
            parts = record.slices[run.name].get(task, {}).get(way)
            if parts:
                ways[way].append((series, parts))
    return ways


def _changes(runs: Sequence[ReportRun], task: str) -> Section:
    """How many questions the last run set right, and how many it spoilt."""
    before, after = runs[0].failed, runs[-1].failed
    ids = [prediction.id for prediction in runs[-1].tasks[task] if prediction.id in before]
    return {
        "first": runs[0].name,
        "last": runs[-1].name,
        "count": len(ids),
        "righted": sum(before[id] and not after[id] for id in ids),
        "spoilt": sum(after[id] and not before[id] for id in ids),
    }


def _certainty(record: Record) -> list[Section]:
    """Reliability, accuracy by coverage, and what `unsure` buys, of tasks answered closed."""
    last = record.runs[-1]
    tasks = []
    for task in record.certain[last.name]:
        certain = []
        for series, run in _named(record.runs):
            if task in record.certain[run.name]:
                certain.append((series, record.certain[run.name][task]))
        section = {
            "title": SCORED.get(task).title,
            "series": [series for series, _ in certain],
            "reliability": charts.reliability([(series, of.bins) for series, of in certain]),
            "coverage": charts.coverage([(series, of.curve) for series, of in certain]),
            "last": certain[-1][1],
            "count": len(last.tasks[task]),
        }
        tasks.append(section)
    return tasks


def _by_class(report: Report) -> Section:
    """F1 and confusion of each class; nothing where no class was asked for."""
    labels = report.labels
    classified = []
    for series, run in _named(report.runs):
        by_class = [task for task in run.tasks if SCORED.get(task).by_class]
        classified += [(series, run.tasks[task]) for task in by_class]
    if not classified or not labels:
        return {}
    bars = [(series, per_class(predictions, labels)) for series, predictions in classified]
    return {
        "labels": labels,
        "series": [series for series, _ in classified],
        "bars": charts.class_bars(bars),
        "confusions": [confusion(predictions, labels).tolist() for _, predictions in classified],
    }


def _training(runs: Sequence[ReportRun]) -> Section:
    """The losses of the runs that were tuned."""
    chart = charts.loss_curve([(series, run.losses) for series, run in _named(runs)])
    if not chart:
        return {}
    tuned = []
    for run in runs:
        points = charts.running(run.losses)
        if points:
            _, steps, loss = points[-1]
            tuned.append({"name": run.name, "steps": steps, "seconds": run.seconds, "loss": loss})
    return {"runs": tuned, "chart": chart}


def _examples(report: Report, drawer: Gallery, failures: bool) -> list[Section]:
    """Failures of each task, or what went right, where there is any."""
    sections = []
    for task, judged in report.runs[-1].judged.items():
        if failures:
            answers = gallery.failures(judged)
            chosen = answers[: report.examples]
        else:
            answers = [answer for answer in judged if not answer.failed]
            chosen = gallery.spread(answers, report.examples)
        if not chosen:
            continue
        examples = [drawer.example(beside) for beside in _beside(report.runs, task, chosen)]
        problems = [answer.prediction.problem for answer in answers if answer.prediction.unreadable]
        sections.append(
            {
                "title": SCORED.get(task).title,
                "total": len(answers),
                "answers": len(judged),
                "problems": Counter(problems),
                "box_styles": {style for example in examples for style, _ in example["boxes"]},
                "examples": examples,
            }
        )
    return sections


def _beside(
    runs: Sequence[ReportRun], task: str, chosen: Sequence[Judged]
) -> Iterator[list[tuple[Series, Judged]]]:
    """The chosen answers, each beside those of the earlier runs to the same question."""
    by_run = []
    for series, run in _named(runs):
        by_run.append(
            (series, {judged.prediction.id: judged for judged in run.judged.get(task, [])})
        )
    for answer in chosen:
        id = answer.prediction.id
        yield [(series, answers[id]) for series, answers in by_run if id in answers]
