"""`report.html`: one page, no network, on how good a run is, what failed, and how it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from swath.errors import EvaluationError
from swath.evaluation import charts, gallery, tables
from swath.evaluation.charts import Series
from swath.evaluation.classification import per_class
from swath.evaluation.gallery import OpenImage
from swath.evaluation.metrics import HEADLINE, METRICS, Score
from swath.evaluation.predictions import Prediction
from swath.evaluation.questions import per_kind
from swath.evaluation.score import by_task, compare, score
from swath.evaluation.statistics import RESAMPLES, Difference
from swath.evaluation.style import CSS
from swath.evaluation.suites import page
from swath.evaluation.suites.running import Result
from swath.files import write_text

Scores = Mapping[str, Mapping[str, Score]]
TITLES = {
    "classify": "Classes",
    "refer": "Boxes",
    "ground": "All boxes of a phrase",
    "count": "Counts",
    "identify": "Names of objects",
    "question": "Questions",
    "caption": "Captions",
    "region": "Captions of regions",
    "describe": "Descriptions with boxes",
    "classes": "All classes that apply",
    "damage": "Damage by degree",
}
_MACHINE = {"format", "choices", "words"}  # of the card: what only programs read
_STYLES = ["tuned", "base", "c2", "c3", "c4"]


@dataclass(frozen=True)
class ReportRun:
    """A system in the report: the base model, or a run.

    Args:
        name: as tables head it.
        predictions: on the test set, which all runs share.
        scores: what `score` gave for them.
        losses: rows of `step`, `loss` and `stage`; empty for a base model.
        seconds: how long tuning took; None where there was none.
    """

    name: str
    predictions: Sequence[Prediction]
    scores: Scores
    losses: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    seconds: float | None = None


def write_report(
    path: Path | str,
    title: str,
    runs: Sequence[ReportRun],
    labels: Sequence[str] = (),
    baselines: Mapping[str, Sequence[Prediction]] | None = None,
    recipe: str = "",
    card: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
    command: str = "",
    made: str = "",
    examples: int = 12,
    open_image: OpenImage | None = None,
    resamples: int = RESAMPLES,
    suites: Sequence[Result] = (),
) -> None:
    """Write the report of some runs, the last of which it is about.

    Args:
        path: of the HTML file.
        title: of the page.
        runs: the base first, the tuned last; all on the same questions.
        labels: the label set.
        baselines: predictions made without looking, by name (`baselines.blind`).
        recipe: the resolved recipe, as text.
        card: of the data: sources, licences, counts; nested mappings become tables.
        versions: of the packages, by name.
        command: that made the run.
        made: when; now if not given.
        examples: most failures, and most other answers, to show a task.
        open_image: opens the picture of a path; Pillow by default.
        resamples: of the bootstrap, for baselines and differences.
        suites: results on benchmarks, beside published numbers.

    Raises:
        EvaluationError: there is no run, two share a name, or they answered different questions.
    """
    if not runs:
        raise EvaluationError("a report needs at least one run; evaluate one first.")
    if len({run.name for run in runs}) < len(runs):
        raise EvaluationError("two runs of the report share a name; rename one.")
    floors = {
        name: score(some, labels, resamples) for name, some in (baselines or {}).items() if some
    }
    gaps = {}
    if len(runs) > 1:
        gaps = compare(runs[0].predictions, runs[-1].predictions, labels, resamples)
    sections = {
        "Scores": _scores(runs, floors, gaps),
        "By class": _by_class(runs, labels),
        "Benchmarks": page.section(suites),
        "Training": _training(runs),
        "What failed": _examples(runs, examples, open_image, failures=True),
        "What went right": _examples(runs, examples, open_image, failures=False),
        "Data": tables.pairs({k: v for k, v in (card or {}).items() if k not in _MACHINE}),
        "How it was made": _made(runs, recipe, versions or {}),
    }
    sections = {name: body for name, body in sections.items() if body}
    body = "".join(
        f'<h2 id="{_anchor(name)}">{name}</h2>{content}' for name, content in sections.items()
    )
    links = "".join(f'<a href="#{_anchor(name)}">{name}</a>' for name in sections)
    when = made or datetime.now().astimezone().strftime("%d %B %Y, %H:%M")
    facts = tables.facts({"made": when, "runs": ", ".join(run.name for run in runs)}, command)
    write_text(
        path,
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body>"
        f'<header><p class="kicker">swath report</p><h1>{escape(title)}</h1>{facts}'
        f"<nav>{links}</nav></header><main>{_leaking(card or {})}{_summary(runs, gaps)}"
        f"{body}</main>"
        "<footer>Every test sample is in every denominator; an answer that could not be read is "
        "wrong. Intervals are 95 % percentile bootstrap over scenes.</footer></body></html>\n",
    )


def series_of(runs: Sequence[ReportRun]) -> list[Series]:
    """The runs as chart series: the last in the accent colour, the first of several in grey."""
    styles = _STYLES[1 : len(runs)] if len(runs) <= len(_STYLES) else []
    styles = styles or ["c2"] * (len(runs) - 1)
    return [Series(run.name, style) for run, style in zip(runs, [*styles, _STYLES[0]], strict=True)]


def _leaking(card: Mapping[str, Any]) -> str:
    """What a reader has to know first: the scores were taken on what was trained on."""
    leaks = card.get("leaks")
    if not leaks:
        return ""
    return (
        f'<p class="lead"><b>Leakage was allowed:</b> {leaks:,} findings put the same pictures, '
        "scenes or ground into train and test, so these scores say too much.</p>"
    )


def _summary(runs: Sequence[ReportRun], gaps: Mapping[str, Mapping[str, Difference]]) -> str:
    first, last = runs[0], runs[-1]
    count, scenes = len(last.predictions), len({one.scene for one in last.predictions})
    lost = sum(one.unreadable for one in last.predictions)
    words = [
        f"<b>{escape(last.name)}</b> answered <b>{count:,} questions</b> about "
        f"<b>{scenes:,} scene{'s' if scenes != 1 else ''}</b>; {tables.number_of(lost, count)} "
        "could not be read and count as wrong."
    ]
    tiles = []
    for task, values in last.scores.items():
        name = HEADLINE[task]
        metric, value = METRICS[name], values[name]
        lines = []
        if value.low is not None and value.high is not None:
            lines.append(f"{tables.span(metric, value.low, value.high)} · n {value.n:,}")
        if task in gaps:
            before = first.scores[task][name]
            gap = gaps[task][name]
            lines.append(
                f"{escape(first.name)} {tables.shown(metric, before.value)}, "
                f"difference {tables.signed(metric, gap.value)}"
            )
        tiles.append(
            f'<div class="tile"><h3>{TITLES[task]}: {metric.title}</h3>'
            f'<div class="number">{tables.shown(metric, value.value)}'
            f"<span>{metric.unit}</span></div>"
            f"{''.join(f'<p>{line}</p>' for line in lines)}</div>"
        )
    return f'<p class="lead">{" ".join(words)}</p><div class="tiles">{"".join(tiles)}</div>'


def _scores(
    runs: Sequence[ReportRun],
    floors: Mapping[str, Scores],
    gaps: Mapping[str, Mapping[str, Difference]],
) -> str:
    parts = []
    for task in runs[-1].scores:
        systems = [
            (Series(name, "floor"), scores[task])
            for name, scores in floors.items()
            if task in scores
        ]
        systems += [
            (series, run.scores[task])
            for series, run in zip(series_of(runs), runs, strict=True)
            if task in run.scores
        ]
        headline = HEADLINE[task]
        parts.append(f"<h3>{TITLES[task]}</h3>")
        if len(systems) > 1:
            unit = f", {METRICS[headline].unit}" if METRICS[headline].unit else ""
            chart = charts.intervals(METRICS[headline], [(s, v[headline]) for s, v in systems])
            parts.append(f'<p class="note">{METRICS[headline].title}{unit}</p>')
            parts.append(f'<div class="wide">{chart}</div>')
        gap = (f"{runs[-1].name} − {runs[0].name}", gaps[task]) if task in gaps else None
        parts.append(tables.scores(systems, gap))
        if task in gaps:
            parts.append(_changed(runs, task))
        if task == "question":
            parts.append(_by_kind(runs))
    return "".join(parts)


def _by_kind(runs: Sequence[ReportRun]) -> str:
    """Share of questions answered exactly, a row a kind."""
    shares = [per_kind(by_task(run.predictions).get("question", [])) for run in runs]
    if len(shares[-1]) < 2:
        return ""
    return tables.pairs(
        {
            f"{kind} ({number:,})": {
                run.name: f"{100 * some[kind][0]:.1f} %"
                for run, some in zip(runs, shares, strict=True)
                if kind in some
            }
            for kind, (_, number) in shares[-1].items()
        }
    )


def _changed(runs: Sequence[ReportRun], task: str) -> str:
    """How many questions the last run set right, and how many it spoilt."""
    before = {one.id: one for one in runs[0].predictions if one.task == task}
    after = [one for one in runs[-1].predictions if one.task == task]
    earlier = [before[one.id] for one in after]
    was = [gallery.failed(*pair) for pair in zip(earlier, gallery.goodness(earlier), strict=True)]
    now = [gallery.failed(*pair) for pair in zip(after, gallery.goodness(after), strict=True)]
    right = sum(a and not b for a, b in zip(was, now, strict=True))
    spoilt = sum(b and not a for a, b in zip(was, now, strict=True))
    return (
        f'<p class="note">{escape(runs[-1].name)} set {right:,} of {len(after):,} answers right '
        f"that {escape(runs[0].name)} had wrong, and spoilt {spoilt:,} that it had right.</p>"
    )


def _by_class(runs: Sequence[ReportRun], labels: Sequence[str]) -> str:
    named = [(s, run) for s, run in zip(series_of(runs), runs, strict=True)]
    chosen = [(s, by_task(run.predictions).get("classify", [])) for s, run in named]
    chosen = [(series, some) for series, some in chosen if some]
    if not chosen or not labels:
        return ""
    bars = charts.class_bars([(series, per_class(some, labels)) for series, some in chosen])
    heats = [tables.heat(some, labels) for _, some in chosen]
    earlier = "".join(
        f"<details><summary>Confusion of {escape(series.name)}</summary>"
        f'<div class="wide">{table}</div></details>'
        for (series, _), table in zip(chosen[:-1], heats[:-1], strict=True)
    )
    return (
        f"<h3>F1</h3>{tables.legend([series for series, _ in chosen])}"
        f'<div class="halves">{bars}</div>'
        f"<h3>Confusion of {escape(chosen[-1][0].name)}</h3>"
        '<p class="note">Rows are the true class, columns the answer; shades are shares of a row. '
        "The last column counts answers that are no class of the set.</p>"
        f'<div class="wide">{heats[-1]}</div>{earlier}'
    )


def _training(runs: Sequence[ReportRun]) -> str:
    curve = charts.loss_curve(
        [(series, run.losses) for series, run in zip(series_of(runs), runs, strict=True)]
    )
    if not curve:
        return ""
    notes = []
    for run in runs:
        if charts.running(run.losses):
            took = f" in {tables.duration(run.seconds)}" if run.seconds is not None else ""
            _, steps, last = charts.running(run.losses)[-1]
            notes.append(f"{escape(run.name)}: {steps:,.0f} steps{took}, last loss {last:.3f}.")
    return f'<p class="note">{" ".join(notes)}</p><div class="wide">{curve}</div>'


def _examples(
    runs: Sequence[ReportRun], most: int, open_image: OpenImage | None, failures: bool
) -> str:
    others = [{one.id: one for one in run.predictions} for run in runs[:-1]]
    series = series_of(runs)
    parts = []
    for task, some in by_task(runs[-1].predictions).items():
        bad, rest, count = gallery.choose(some, most)
        chosen = bad if failures else rest
        if not chosen:
            continue
        total = count if failures else len(some) - count
        problems = Counter(one.problem for one in some if one.unreadable)
        why = ", ".join(f"{number:,} {escape(str(name))}" for name, number in problems.items())
        why = f" Could not be read: {why}." if why and failures else ""
        figures = "".join(
            gallery.example(
                [
                    (one.name, one.style, answers[shown.id])
                    for one, answers in zip(series, [*others, {shown.id: shown}], strict=True)
                    if shown.id in answers
                ],
                open_image,
            )
            for shown in chosen
        )
        drawn = any(one.boxes or one.asked or one.truth.get("boxes") for one in chosen)
        asked = any(one.asked for one in chosen)
        legend = tables.box_legend(len(runs) > 1, asked) if drawn else ""
        parts.append(
            f'<h3>{TITLES[task]}</h3><p class="note">{total:,} of {len(some):,} answers, '
            f"{len(chosen)} shown.{why}</p>{legend}"
            f'<div class="gallery">{figures}</div>'
        )
    return "".join(parts)


def _made(runs: Sequence[ReportRun], recipe: str, versions: Mapping[str, str]) -> str:
    used = {name for run in runs for values in run.scores.values() for name in values}
    rules = {row.title: row.rule for name, row in METRICS.items() if name in used}
    parts = [f"<details><summary>What the metrics mean</summary>{tables.pairs(rules)}</details>"]
    if recipe:
        parts.append(f"<details><summary>Recipe</summary><pre>{escape(recipe)}</pre></details>")
    if versions:
        parts.append(f"<details><summary>Versions</summary>{tables.pairs(versions)}</details>")
    return "".join(parts)


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")
