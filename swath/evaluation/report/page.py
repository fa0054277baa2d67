"""`report.html`: one page, no network, on how good a run is, what failed, and how it was made."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from swath.evaluation.metrics.base import HEADLINE, METRICS, Score
from swath.evaluation.metrics.certainty import words
from swath.evaluation.metrics.classification import per_class
from swath.evaluation.metrics.statistics import RESAMPLES
from swath.evaluation.predictions import Prediction
from swath.evaluation.report import charts, gallery
from swath.evaluation.report import score_tables as tables
from swath.evaluation.report import suite_page as page
from swath.evaluation.report.charts import Series
from swath.evaluation.report.gallery import OpenImage
from swath.evaluation.report.record import BY_DEGREE, Record, ReportRun, write_record
from swath.evaluation.report.style import CSS
from swath.evaluation.slices import GsdOf
from swath.evaluation.suites.running import Result
from swath.files import write_text

__all__ = ["ReportRun", "write_report"]

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
    gsd_of: GsdOf | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write the report of some runs, the last of which it is about; and beside it the same as JSON.

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
        gsd_of: metres of ground a pixel of a picture, for slices.
        notes: what else a reader has to know, such as what was not measured.

    Raises:
        EvaluationError: there is no run, two share a name, or they answered different questions.
    """
    record = Record.of(runs, labels, baselines, gsd_of, resamples)
    card = card or {}
    sections = {
        "Scores": _scores(record),
        "How sure it is": _certain(record),
        "By class": _by_class(runs, labels),
        "Benchmarks": page.section(suites),
        "Training": _training(runs),
        "What failed": _examples(runs, examples, open_image, failures=True),
        "What went right": _examples(runs, examples, open_image, failures=False),
        "Data": tables.pairs({k: v for k, v in card.items() if k not in _MACHINE}),
        "How it was made": _made(runs, recipe, versions or {}),
    }
    sections = {name: body for name, body in sections.items() if body}
    body = "".join(
        f'<h2 id="{_anchor(name)}">{name}</h2>{content}' for name, content in sections.items()
    )
    links = "".join(f'<a href="#{_anchor(name)}">{name}</a>' for name in sections)
    when = made or datetime.now().astimezone().strftime("%d %B %Y, %H:%M")
    said = {"made": when, "runs": ", ".join(run.name for run in runs)}
    use = {"may be used for": str(card["use"])} if card.get("use") else {}
    facts = tables.facts({**said, **use}, command)
    about: dict[str, Any] = {
        "title": title,
        "made": when,
        "command": command,
        "notes": list(notes),
        **use,
    }
    about |= {"leaks": card.get("leaks", 0), "ledger": card.get("ledger", [])}
    about |= {"recipe": recipe, "versions": dict(versions or {})}
    write_record(Path(path).with_suffix(".json"), record, about, suites)
    write_text(
        path,
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body>"
        f'<header><p class="kicker">swath report</p><h1>{escape(title)}</h1>{facts}'
        f"<nav>{links}</nav></header><main>{_leaking(card)}{_summary(record, notes)}"
        f"{body}</main>"
        "<footer>Every test sample is in every denominator; an answer that could not be read is "
        "wrong. Intervals are 95 % percentile bootstrap over scenes, exact where all "
        "answers of a share are alike; differences are paired by "
        "question. Titles with dots below explain themselves when pointed at, and all are "
        "explained under How it was made. The same figures lie beside this page as JSON."
        "</footer></body></html>\n",
    )


def series_of(runs: Sequence[ReportRun]) -> list[Series]:
    """The runs as chart series: the last in the accent colour, the first of several in grey."""
    styles = _STYLES[1 : len(runs)] if len(runs) <= len(_STYLES) else []
    styles = styles or ["c2"] * (len(runs) - 1)
    return [Series(run.name, style) for run, style in zip(runs, [*styles, _STYLES[0]], strict=True)]


def _named(runs: Sequence[ReportRun]) -> list[tuple[Series, ReportRun]]:
    return list(zip(series_of(runs), runs, strict=True))


def _leaking(card: Mapping[str, Any]) -> str:
    """What a reader has to know first: the scores were taken on what was trained on."""
    leaks = card.get("leaks")
    if not leaks:
        return ""
    return (
        '<p class="lead warning" role="note"><b>Leakage was allowed</b> (allow_leakage): '
        f"{leaks:,} finding{'s put' if leaks != 1 else ' puts'} the same pictures, scenes or "
        "ground into train and test, so these scores say too much.</p>"
    )


def _summary(record: Record, notes: Sequence[str]) -> str:
    first, last = record.runs[0], record.runs[-1]
    count, scenes = len(last.predictions), len({one.scene for one in last.predictions})
    lost = sum(one.unreadable for one in last.predictions)
    lead = (
        f"<b>{escape(last.name)}</b> answered <b>{count:,} question{'s' if count != 1 else ''}</b> "
        f"about <b>{scenes:,} scene{'s' if scenes != 1 else ''}</b>; "
        + (
            f"{tables.number_of(lost, count)} could not be read and count as wrong."
            if lost
            else "all could be read."
        )
    )
    gaps = record.gaps.get(first.name, {})
    tiles = []
    for task, values in last.scores.items():
        name = HEADLINE[task]
        metric, value = METRICS[name], values[name]
        lines = []
        if value.low is not None and value.high is not None:
            lines.append(f"{tables.span(metric, value.low, value.high)} · n {value.n:,}")
        if task in gaps:
            before = first.scores[task][name]
            lines.append(
                f"{escape(first.name)} {tables.shown(metric, before.value)}, "
                f"difference {tables.signed(metric, gaps[task][name].value)}"
            )
        tiles.append(
            f'<div class="tile"><h3>{TITLES[task]}: <abbr title="{escape(metric.rule)}">'
            f"{metric.title}</abbr></h3>"
            f'<div class="number">{tables.shown(metric, value.value)}'
            f"<span>{metric.unit}</span></div>"
            f"{''.join(f'<p>{line}</p>' for line in lines)}</div>"
        )
    more = "".join(f'<p class="note">{_coded(note)}</p>' for note in notes)
    return f'<p class="lead">{lead}</p><div class="tiles">{"".join(tiles)}</div>{more}'


def _scores(record: Record) -> str:
    runs = record.runs
    named = _named(runs)
    parts = []
    for task in runs[-1].scores:
        systems: list[tuple[Series, Mapping[str, Score]]] = [
            (Series(name, "floor"), scores[task])
            for name, scores in record.floors.items()
            if task in scores
        ]
        systems += [(one, run.scores[task]) for one, run in named if task in run.scores]
        headline = METRICS[HEADLINE[task]]
        parts.append(f"<h3>{TITLES[task]}</h3>")
        if len(systems) > 1:
            chart = charts.intervals(headline, [(s, v[HEADLINE[task]]) for s, v in systems])
            parts.append(f'<p class="note">{tables.head(headline)}</p>')
            parts.append(f'<div class="wide">{chart}</div>')
        gaps = {
            f"{runs[-1].name} − {name}": some[task]
            for name, some in record.gaps.items()
            if task in some
        }
        parts.append(tables.scores(systems, gaps))
        parts.append(
            tables.outcomes([(s, run.outcomes(task)) for s, run in named if task in run.tasks])
        )
        if gaps and task not in BY_DEGREE:
            parts.append(_changed(runs, task))
        for way in record.slices[runs[-1].name].get(task, {}):
            some = [(s, record.slices[run.name].get(task, {}).get(way, {})) for s, run in named]
            parts.append(tables.sliced(task, way, [one for one in some if one[1]]))
    return "".join(parts)


def _changed(runs: Sequence[ReportRun], task: str) -> str:
    """How many questions the last run set right, and how many it spoilt."""
    was, now = runs[0].failed, runs[-1].failed
    ids = [one.id for one in runs[-1].tasks[task] if one.id in was]
    right = sum(was[name] and not now[name] for name in ids)
    spoilt = sum(now[name] and not was[name] for name in ids)
    return (
        f'<p class="note">{escape(runs[-1].name)} set {right:,} of {len(ids):,} answers right '
        f"that {escape(runs[0].name)} had wrong, and spoilt {spoilt:,} that it had right.</p>"
    )


def _certain(record: Record) -> str:
    """Reliability, accuracy by coverage, and what `unsure` buys, of tasks answered closed."""
    parts = []
    for task in record.runs[-1].scores:
        found = [
            (one, record.certain[run.name][task])
            for one, run in _named(record.runs)
            if task in record.certain[run.name]
        ]
        if not found or task not in record.certain[record.runs[-1].name]:
            continue
        bins = [
            (one, [(b[3], b[4]) for b in sure.bins],
             [f"{one.name}: {b[2]:,} answers {100 * b[3]:.0f} % sure, {100 * b[4]:.0f} % right"
              for b in sure.bins])
            for one, sure in found
        ]  # fmt: skip
        curves: list[tuple[Series, list[tuple[float, float]], list[str]]] = []
        for one, sure in found:
            given, right = sure.curve.coverage.tolist(), sure.curve.accuracy.tolist()
            curves.append((one, list(zip(given, right, strict=True)), []))
        last = found[-1][1]
        on = f"{last.chosen_on} ({last.chosen_n:,} answers)"
        lines = [f"<li>{_coded(words(one))}</li>" for one in last.aims]
        best = (
            '<p class="note">Every accuracy aimed at is reached without leaving a question '
            "unanswered.</p>"
        )
        parts.append(
            f"<h3>{TITLES[task]}</h3>{tables.legend([one for one, _ in found])}"
            f'<div class="halves"><figure><figcaption class="note">Of answers this sure, so many '
            "are right (bins of 1/15; on the dotted line is well calibrated)</figcaption>"
            f"{charts.shares(('Reliability', 'sure', 'right'), bins, diagonal=True)}</figure>"
            '<figure><figcaption class="note">If only the surest are answered, so many of these '
            "are right</figcaption>"
            f"{charts.shares(('Accuracy by coverage', 'answered', 'right'), curves)}</figure></div>"
            f'<p class="note">Answering <code>unsure</code> below a threshold of confidence that '
            f"was chosen on {on}, n {len(record.runs[-1].tasks[task]):,}:</p>"
            + (f'<ul class="note">{"".join(lines)}</ul>' if lines else best)
        )
    return "".join(parts)


def _by_class(runs: Sequence[ReportRun], labels: Sequence[str]) -> str:
    chosen = [(s, some) for s, run in _named(runs) if (some := run.tasks.get("classify"))]
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
        '<h3><abbr title="2 TP / (2 TP + FP + FN) of the class; 0 without truths and answers.">'
        f"F1</abbr></h3>{tables.legend([series for series, _ in chosen])}"
        f'<div class="halves">{bars}</div>'
        f"<h3>Confusion of {escape(chosen[-1][0].name)}</h3>"
        '<p class="note">Rows are the true class, columns the answer; shades are shares of a row. '
        "The last column counts answers that are no class of the set.</p>"
        f'<div class="wide">{heats[-1]}</div>{earlier}'
    )


def _training(runs: Sequence[ReportRun]) -> str:
    curve = charts.loss_curve([(series, run.losses) for series, run in _named(runs)])
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
    for task, some in runs[-1].tasks.items():
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
        kinds = {
            "true": any(one.truth.get("boxes") for one in chosen),
            "answered": any(one.boxes for one in chosen),
            "asked": any(one.asked for one in chosen),
            "earlier": any(some[one.id].boxes for some in others for one in chosen),
        }
        drawn = [kind for kind, any_of in kinds.items() if any_of]
        legend = tables.box_legend(drawn) if drawn else ""
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


def _coded(words: str) -> str:
    """Words whose `quoted` parts are code."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", escape(words))


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")
