"""The suites' section of a report: scores of each beside what is published of its protocol."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from swath.evaluation import tables
from swath.evaluation.charts import Series
from swath.evaluation.metrics import METRICS
from swath.evaluation.questions import per_kind
from swath.evaluation.suites.published import Published, published
from swath.evaluation.suites.running import Result


def section(results: Sequence[Result]) -> str:
    """Every suite's scores with intervals, kinds, what was amiss, and published rows."""
    return "".join(_suite(one) for one in results)


def _suite(result: Result) -> str:
    suite = result.suite
    scores = result.scores[suite.task]
    facts = [escape(text) for text in (suite.source, suite.version) if text]
    parts = [
        f"<h3>{escape(suite.title)}</h3>",
        f'<p class="note">{". ".join(facts)}.</p>',
        tables.scores([(Series("this model", "tuned"), scores)]),
    ]
    kinds = per_kind(result.predictions) if suite.task == "question" else {}
    if len(kinds) > 1:
        shares = {f"{kind} ({n:,})": f"{100 * share:.1f} %" for kind, (share, n) in kinds.items()}
        parts.append(tables.pairs(shares))
    counted = {
        name: note["count"]
        for name, note in result.notes.items()
        if isinstance(note, dict) and note.get("count")
    }
    if counted:
        parts.append(tables.pairs({f"{name} answers": count for name, count in counted.items()}))
    for mode, values in result.modes.items():
        shown = {name: f"{value:.4g}" for name, value in values.items()}
        parts.append(f'<p class="note">By the rule of {escape(mode)}:</p>{tables.pairs(shown)}')
    rows = published(suite)
    if rows:
        parts.append(_published(rows, suite.protocol))
    return "".join(parts)


def _published(rows: Sequence[Published], protocol: str) -> str:
    keys = list(dict.fromkeys(key for row in rows for key in row.values))
    heads = "".join(f"<th>{escape(METRICS[k].title if k in METRICS else k)}</th>" for k in keys)
    body = "".join(
        f"<tr><th>{escape(row.system)}</th>"
        + "".join(f"<td>{row.values[key]:g}</td>" if key in row.values else "<td></td>"
                  for key in keys)
        + f"<td><small>{escape('; '.join(filter(None, (row.source, row.note))))}</small></td></tr>"
        for row in rows
    )  # fmt: skip
    return (
        f'<p class="note">Published, as their sources print them ({escape(protocol)}; tokenisers '
        f'and readers of answers may differ):</p><div class="wide"><table class="scores"><thead>'
        f"<tr><th></th>{heads}<th>source</th></tr></thead><tbody>{body}</tbody></table></div>"
    )
