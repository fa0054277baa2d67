"""Tables of a report as HTML: scores with their intervals, confusion as heat, facts in pairs."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from html import escape
from typing import Any

from swath.evaluation.metrics.base import METRICS, Metric, Score
from swath.evaluation.metrics.classification import confusion
from swath.evaluation.metrics.statistics import Difference
from swath.evaluation.predictions import Prediction
from swath.evaluation.report.charts import Series
from swath.evaluation.slices import METRIC

_MOST = 60  # entries of a list that are shown
_UNREADABLE = "Answers of which nothing could be read; each counts as wrong."

OUTCOMES = {
    "right": "The class, name, count or answer is the true one; a box has IoU of at least 0.5; all "
    "boxes are found and no more.",
    "wrong": "Readable, and not right.",
    "said": "A sentence was given; the scores say how near it comes.",
    "refused": "The model or its endpoint declined to answer; wrong in every score.",
    "empty": "Nothing was said; wrong in every score.",
}
"""What becomes of an answer; the others are reasons why nothing could be read of it."""


def scores(
    systems: Sequence[tuple[Series, Mapping[str, Score]]],
    gaps: Mapping[str, Mapping[str, Difference]] | None = None,
) -> str:
    """One task: a row a system, a column a metric, intervals below; then paired differences."""
    names = [name for name in METRICS if any(name in values for _, values in systems)]
    heads = [head(METRICS[name]) for name in names]
    rows = []
    for place, (series, values) in enumerate(systems):
        any_score = next(iter(values.values()))
        style = "floor" if series.style == "floor" else "last" if place == len(systems) - 1 else ""
        rows.append(
            f'<tr class="{style}"><th scope="row">{_key(series)}</th>'
            f"{''.join(_cell(METRICS[name], values.get(name)) for name in names)}"
            f"<td>{any_score.unreadable:,} <small>of {_most(values):,}</small></td></tr>"
        )
    for title, gap in (gaps or {}).items():
        cells = "".join(_gap(METRICS[name], gap.get(name)) for name in names)
        rows.append(f'<tr class="gap"><th scope="row">{escape(title)}</th>{cells}<td></td></tr>')
    heads.append(f'<abbr title="{_UNREADABLE}">Unreadable</abbr>')
    return headed("scores", ["system", *heads], "".join(rows))


def headed(style: str, heads: Sequence[str], rows: str) -> str:
    """A table of some rows under the heads of its columns."""
    row = "".join(f'<th scope="col">{one}</th>' for one in heads)
    return (
        f'<div class="wide"><table class="{style}"><thead><tr>{row}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def outcomes(systems: Sequence[tuple[Series, Mapping[str, int]]]) -> str:
    """How the answers of a task came out: a row a system, a column an outcome."""
    names = list(dict.fromkeys(name for _, counts in systems for name in counts))
    heads = [
        f'<abbr title="{OUTCOMES[name]}">{escape(name)}</abbr>'
        if name in OUTCOMES
        else escape(name)
        for name in names
    ]
    rows = "".join(
        f'<tr><th scope="row">{_key(series)}</th>'
        + "".join(f"<td>{counts.get(name, 0):,}</td>" for name in names)
        + f"<td>{sum(counts.values()):,}</td></tr>"
        for series, counts in systems
    )
    return headed("scores small", ["answers", *heads, "n"], rows)


def sliced(task: str, way: str, systems: Sequence[tuple[Series, Mapping[str, Score]]]) -> str:
    """The task's metric by slice: a row a slice, a column a system, intervals below, and n."""
    metric = METRICS[METRIC[task]]
    parts = list(dict.fromkeys(part for _, some in systems for part in some))
    heads = [escape(way), *(_key(series) for series, _ in systems), "n"]
    rows = "".join(
        f'<tr><th scope="row">{escape(part)}</th>'
        + "".join(_cell(metric, some.get(part)) for _, some in systems)
        + f"<td>{max(some[part].n for _, some in systems if part in some):,}</td></tr>"
        for part in parts
    )
    about = f'<p class="note">{head(metric)} by {escape(way)}</p>'
    return about + headed("scores small", heads, rows)


def heat(predictions: Sequence[Prediction], labels: Sequence[str]) -> str:
    """The confusion matrix: counts, shaded by their share of the row; invalid answers last."""
    table = confusion(predictions, labels)
    heads = "".join(
        f'<th scope="col"><span>{escape(name)}</span></th>' for name in [*labels, "invalid"]
    )
    rows = []
    for place, (label, counts) in enumerate(zip(labels, table, strict=True)):
        total = max(1, int(counts.sum()))
        cells = []
        for column, count in enumerate(counts):
            share = count / total
            kind = "none" if not count else "hit" if column == place else "off"
            kind += " invalid" if column == len(labels) else ""
            cells.append(
                f'<td class="{kind}" style="--depth:{0.1 + 0.62 * share:.2f}">{count or ""}</td>'
            )
        rows.append(f'<tr><th scope="row">{escape(label)}</th>{"".join(cells)}</tr>')
    cell = min(27, max(14, 880 // (len(labels) + 1)))
    return (
        f'<table class="heat" style="--cell:{cell}px"><thead><tr><th scope="col">true</th>{heads}'
        "</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def pairs(values: Mapping[str, Any]) -> str:
    """Names and values; a mapping within becomes a table within. "" for none."""
    if not values:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(str(name).replace("_", " "))}</th>'
        f"<td>{_value(value)}</td></tr>"
        for name, value in values.items()
    )
    return f'<table class="pairs"><tbody>{rows}</tbody></table>'


def facts(values: Mapping[str, str], command: str) -> str:
    """The line below the title."""
    rows = [f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in values.items()]
    if command:
        rows.append(f"<div><dt>by</dt><dd><code>{escape(command)}</code></dd></div>")
    return f'<dl class="facts">{"".join(rows)}</dl>'


def legend(series: Sequence[Series]) -> str:
    """Which colour is which system."""
    return (
        '<div class="legend">' + "".join(f"<span>{_key(one)}</span>" for one in series) + "</div>"
    )


def box_legend(drawn: Container[str]) -> str:
    """Which outline is the truth, an answer, an earlier run's, and what was asked about."""
    words = {"true": "truth", "answered": "answer", "asked": "asked about"}
    kinds = [*words.items(), ("earlier", "answer of an earlier run")]
    keys = "".join(
        f'<span><svg viewBox="0 0 26 12"><polygon class="{kind}" points="1,1 25,1 25,11 1,11"/>'
        f"</svg>{name}</span>"
        for kind, name in kinds
        if kind in drawn
    )
    return f'<div class="legend">{keys}</div>'


def shown(metric: Metric, value: float) -> str:
    """A value as people read it: 0.8125 of accuracy is 81.2."""
    scaled = value * metric.scale
    places = f".{1 if metric.scale > 1 else 2}f" if abs(scaled) < 1e5 else ".1e"
    return f"{scaled:{places}}".replace("-", "−").replace("e+", "e")


def signed(metric: Metric, value: float) -> str:
    """A difference with its sign, green for better and red for worse."""
    text = shown(metric, abs(value))
    if not float(text):
        return text
    better = (value > 0) == metric.rising
    return f'<span class="{"up" if better else "down"}">{"+" if value > 0 else "−"}{text}</span>'


def span(metric: Metric, low: float, high: float) -> str:
    """An interval: "78.0 to 84.5"."""
    return f"{shown(metric, low)} to {shown(metric, high)}"


def number_of(count: int, total: int) -> str:
    """ "none", or "12 (3.0 %)"."""
    return f"{count:,} ({100 * count / total:.1f} %)" if count else "none"


def duration(seconds: float) -> str:
    """A time as "42 s", "3 min 20 s" or "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def p_value(p: float) -> str:
    """ "p < 0.001", or "p = 0.034"."""
    return "p &lt; 0.001" if p < 0.001 else f"p = {p:.2g}"


def head(metric: Metric) -> str:
    """A metric's title over its definition, its unit, and which way is better."""
    unit = f" {metric.unit}" if metric.unit else ""
    arrow = "↑" if metric.rising else "↓"
    better = "more is better" if metric.rising else "less is better"
    name = f'<abbr title="{escape(metric.rule)}">{metric.title}</abbr>'
    return f'{name}{unit} <span title="{better}">{arrow}</span>'


def _key(series: Series) -> str:
    return f'<i class="key {series.style}"></i>{escape(series.name)}'


def _cell(metric: Metric, score: Score | None) -> str:
    if score is None:
        return "<td>—</td>"
    below = ""
    if score.low is not None and score.high is not None:
        below = f"<small>{span(metric, score.low, score.high)}</small>"
    return f"<td>{shown(metric, score.value)}{below}</td>"


def _gap(metric: Metric, gap: Difference | None) -> str:
    if gap is None:
        return "<td></td>"
    below = f"<small>{span(metric, gap.low, gap.high)}</small>"
    test, p = "bootstrap", gap.p
    if gap.p_mcnemar is not None:
        test, p = "McNemar", gap.p_mcnemar
    below += f'<small title="Paired bootstrap: {p_value(gap.p)}">{test} {p_value(p)}</small>'
    return f"<td>{signed(metric, gap.value)}{below}</td>"


def _most(values: Mapping[str, Score]) -> int:
    return max(score.n for score in values.values())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return pairs(value) or "—"
    if isinstance(value, (list, tuple)):
        if any(isinstance(one, Mapping) for one in value):
            return "".join(_value(one) for one in value)
        more = f" and {len(value) - _MOST:,} more" if len(value) > _MOST else ""
        return escape(", ".join(str(one) for one in value[:_MOST]) + more) or "—"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "—"}[value]
    return escape(f"{value:,}" if isinstance(value, int) else str(value))
