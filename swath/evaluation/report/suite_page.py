"""The suites' section of a report: scores of each beside what is published of its protocol."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from swath.evaluation.metrics.base import METRICS
from swath.evaluation.metrics.short_answers import per_kind
from swath.evaluation.papers.modes import MODES
from swath.evaluation.report import score_tables as tables
from swath.evaluation.report.charts import Series
from swath.evaluation.scoring import rows_of
from swath.evaluation.slices import slices
from swath.evaluation.suites.published import Published, published
from swath.evaluation.suites.running import Result


def section(results: Sequence[Result]) -> str:
    """Every suite's scores with intervals, slices, what was amiss, and published rows."""
    return "".join(_suite(one) for one in results)


def row(result: Result, every: bool = False) -> dict[str, Any]:
    """A result as a JSON object, beside what is published.

    Args:
        result: of a suite.
        every: published rows of any protocol.
    """
    suite = result.suite
    return {
        "task": suite.task,
        "metric": suite.metric,
        "protocol": suite.protocol,
        "modes": result.modes,
        "scores": rows_of(result.scores)[suite.task],
        "name": result.name,
        "sides": rows_of(result.others),
        "differences": rows_of(result.gaps),
        "baselines": rows_of(result.floors),
        "notes": result.notes,
        "published": [one.to_row() for one in published(suite, every)],
    }


def _suite(result: Result) -> str:
    suite = result.suite
    facts = [text for text in (suite.source, suite.version) if text]
    facts += [f"Asked: {result.notes['model']}"] if result.notes.get("model") else []
    facts += (
        [f"Only {result.notes['limit']:,} of its questions"] if result.notes.get("limit") else []
    )
    rows = published(suite)
    kinds = per_kind(result.predictions) if suite.task == "question" else {}
    mine = Series(result.name, "tuned")
    systems = [
        (Series(f"{name} (of these answers)", "floor"), some)
        for name, some in result.floors.items()
    ]
    styles = ["base", "c2", "c3", *["c4"] * len(result.others)]
    sides = zip(result.others.items(), styles, strict=False)
    systems += [(Series(name, style), some) for (name, some), style in sides]
    gaps = {f"{result.name} − {name}": some for name, some in result.gaps.items()}
    parts = [
        f"<h3>{escape(suite.title)}</h3>",
        f'<p class="note">{escape(". ".join(one.rstrip(".") for one in facts))}.</p>',
        tables.scores([*systems, (mine, result.scores[suite.task])], gaps),
    ]
    for way, found in slices(result.predictions, result.labels).items():
        parts.append(tables.sliced(suite.task, way, [(mine, found)]))
    for name, why in result.notes.get("not asked", {}).items():
        parts.append(f'<p class="note">{escape(f"{name}: not asked, {why}")}</p>')
    counted = {
        f"{name} {note.get('of', 'answers')}": note["count"]
        for name, note in result.notes.items()
        if isinstance(note, dict) and note.get("count")
    }
    if counted:
        parts.append(tables.pairs(counted))
    for mode, values in result.modes.items():
        shown = {
            f"{METRICS[name].title}, n {len(result.predictions):,}": (
                f"{tables.shown(METRICS[name], value)} {METRICS[name].unit}"
            )
            for name, value in values.items()
        }
        about = f"By the rule of {escape(mode)} ({escape(MODES.get(mode).differs)}):"
        parts.append(f'<p class="note">{about}</p>{tables.pairs(shown)}')
    if rows:
        own = {
            name: tables.shown(METRICS[name], one.value)
            for name, one in result.scores[suite.task].items()
        } | {kind: f"{100 * share:.1f}" for kind, (share, _) in kinds.items()}
        parts.append(_published(rows, own, result))
    return "".join(parts)


def _published(rows: Sequence[Published], own: dict[str, str], result: Result) -> str:
    keys = list(dict.fromkeys(key for one in rows for key in one.values))
    heads = [tables.head(METRICS[key]) if key in METRICS else escape(key) for key in keys]
    body = "".join(
        f'<tr><th scope="row">{escape(one.system)}</th>'
        + "".join(
            f"<td>{one.values[key]:g}</td>" if key in one.values else "<td></td>" for key in keys
        )
        + f"<td><small>{escape('; '.join(filter(None, (one.source, one.note))))}</small></td></tr>"
        for one in rows
    )
    mine = "".join(f"<td>{own.get(key, '—')}</td>" for key in keys)
    body += (
        f'<tr class="last"><th scope="row"><i class="key tuned"></i>{escape(result.name)}</th>'
        f"{mine}<td></td></tr>"
    )
    return (
        '<p class="note">Beside what is published, as the sources print it '
        f"({escape(result.suite.protocol)}; "
        "tokenisers and readers of answers may differ, and intervals are not printed):</p>"
    ) + tables.headed("scores published", ["system", *heads, "source"], body)
