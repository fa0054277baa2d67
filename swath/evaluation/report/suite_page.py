"""A suite in a report: its scores beside what is published of its protocol, as JSON and page."""

from __future__ import annotations

from swath.evaluation.metrics.base import METRICS
from swath.evaluation.report.charts import Series
from swath.evaluation.report.numbers import shown
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.scoring import rows_of
from swath.evaluation.slices import slices
from swath.evaluation.suites.published import published
from swath.evaluation.suites.running import Result
from swath.files import Json

_STYLES = ("base", "c2", "c3")


def row(result: Result, every: bool = False) -> Json:
    """A result as a JSON object, beside what is published.

    Args:
        every: published rows of any protocol.
    """
    suite = result.suite
    return {
        "task": suite.task,
        "metric": suite.metric,
        "protocol": suite.protocol,
        "modes": result.modes,
        "modes_not_run": result.modes_not_run,
        "scores": rows_of(result.scores)[suite.task],
        "name": result.name,
        "systems": rows_of(result.others),
        "differences": rows_of(result.gaps),
        "baselines": rows_of(result.floors),
        "notes": result.notes,
        "published": [row.to_row() for row in published(suite, every)],
    }


def view(result: Result) -> Json:
    """What the page shows of a suite: scores, slices, what was amiss, and published rows."""
    suite = result.suite
    scores = result.scores[suite.task]
    series = Series(result.name, "tuned")
    systems = [
        (Series(f"{name} (of these answers)", "floor"), floor)
        for name, floor in result.floors.items()
    ]
    for place, (name, scores_of_other) in enumerate(result.others.items()):
        style = _STYLES[place] if place < len(_STYLES) else "c4"
        systems.append((Series(name, style), scores_of_other))
    rows = published(suite)
    sliced = slices(result.predictions, result.labels)
    not_asked = result.notes.get("not asked", {})
    return {
        "title": suite.title,
        "name": result.name,
        "protocol": suite.protocol,
        "facts": ". ".join(fact.rstrip(".") for fact in _facts(result)),
        "systems": [*systems, (series, scores)],
        "gaps": {f"{result.name} − {name}": gap for name, gap in result.gaps.items()},
        "slice_metric": METRICS[SCORED.get(suite.task).slice_metric],
        "slices": {way: [(series, parts)] for way, parts in sliced.items()},
        "not_asked": not_asked,
        "counts": _counts(result),
        "modes": {mode: _mode(result, values) for mode, values in result.modes.items()},
        "modes_not_run": result.modes_not_run,
        "published": rows,
        "columns": list(dict.fromkeys(name for published in rows for name in published.values)),
        "own": _own(result),
    }


def _facts(result: Result) -> list[str]:
    """Where the suite comes from, and how it was asked."""
    facts = [result.suite.source, result.suite.version]
    if result.notes.get("model"):
        facts.append(f"Asked: {result.notes['model']}")
    if result.notes.get("limit"):
        facts.append(f"Only {result.notes['limit']:,} of its questions")
    return [fact for fact in facts if fact]


def _counts(result: Result) -> dict[str, int]:
    """How often something was amiss, by what it was."""
    counts = {}
    for name, note in result.notes.items():
        if isinstance(note, dict) and note.get("count"):
            counts[f"{name} {note.get('of', 'answers')}"] = note["count"]
    return counts


def _mode(result: Result, values: dict[str, float]) -> dict[str, str]:
    """Values by the rule of a paper."""
    rows = {}
    for name, value in values.items():
        metric = METRICS[name]
        title = f"{metric.title}, n {len(result.predictions):,}"
        rows[title] = f"{shown(value, metric)} {metric.unit}"
    return rows


def _own(result: Result) -> dict[str, str]:
    """The result's own values by metric, and of questions by their kind."""
    scores = result.scores[result.suite.task]
    values = {name: shown(score.value, METRICS[name]) for name, score in scores.items()}
    for kind, (share, _) in SCORED.get(result.suite.task).per_kind(result.predictions).items():
        values[kind] = f"{100 * share:.1f}"
    return values
