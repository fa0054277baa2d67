"""Tables of a report as HTML: scores with their intervals, confusion as heat, facts in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from swath.evaluation.charts import Series
from swath.evaluation.classification import confusion
from swath.evaluation.metrics import METRICS, Metric, Score
from swath.evaluation.predictions import Prediction
from swath.evaluation.statistics import Difference

_MOST = 60  # entries of a list that are shown


def scores(
    systems: Sequence[tuple[Series, Mapping[str, Score]]],
    gap: tuple[str, Mapping[str, Difference]] | None = None,
) -> str:
    """One task: a row a system, a column a metric, intervals below; then the paired difference."""
    names = [name for name in METRICS if any(name in values for _, values in systems)]
    heads = "".join(f"<th>{_head(METRICS[name])}</th>" for name in names)
    rows = []
    for place, (series, values) in enumerate(systems):
        any_score = next(iter(values.values()))
        style = "floor" if series.style == "floor" else "last" if place == len(systems) - 1 else ""
        rows.append(
            f'<tr class="{style}"><th><i class="key {series.style}"></i>{escape(series.name)}</th>'
            f"{''.join(_cell(METRICS[name], values.get(name)) for name in names)}"
            f"<td>{any_score.unreadable:,} <small>of {_most(values):,}</small></td></tr>"
        )
    if gap:
        cells = "".join(_gap(METRICS[name], gap[1].get(name)) for name in names)
        rows.append(f'<tr class="gap"><th>{escape(gap[0])}</th>{cells}<td></td></tr>')
    return (
        '<div class="wide"><table class="scores"><thead><tr><th></th>'
        f"{heads}<th>unreadable</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def heat(predictions: Sequence[Prediction], labels: Sequence[str]) -> str:
    """The confusion matrix: counts, shaded by their share of the row; invalid answers last."""
    table = confusion(predictions, labels)
    heads = "".join(f"<th><span>{escape(name)}</span></th>" for name in [*labels, "invalid"])
    rows = []
    for place, (label, counts) in enumerate(zip(labels, table, strict=True)):
        total = max(1, int(counts.sum()))
        cells = []
        for column, count in enumerate(counts):
            share = count / total
            kind = "none" if not count else "hit" if column == place else "off"
            kind += " deep" if share > 0.6 else ""
            kind += " invalid" if column == len(labels) else ""
            cells.append(
                f'<td class="{kind}" style="--depth:{0.12 + 0.8 * share:.2f}">{count or ""}</td>'
            )
        rows.append(f"<tr><th>{escape(label)}</th>{''.join(cells)}</tr>")
    cell = min(27, max(14, 880 // (len(labels) + 1)))
    return (
        f'<table class="heat" style="--cell:{cell}px"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def pairs(values: Mapping[str, Any]) -> str:
    """Names and values; a mapping within becomes a table within. "" for none."""
    if not values:
        return ""
    rows = "".join(
        f"<tr><th>{escape(str(name).replace('_', ' '))}</th><td>{_value(value)}</td></tr>"
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
        '<div class="legend">'
        + "".join(
            f'<span><i class="key {one.style}"></i>{escape(one.name)}</span>' for one in series
        )
        + "</div>"
    )


def box_legend(several: bool, asked: bool = False) -> str:
    """Which outline is the truth, and which an answer; and which was asked about."""
    kinds = [("true", "truth"), ("answered", "answer")]
    kinds += [("asked", "asked about")] if asked else []
    kinds += [("earlier", "answer of an earlier run")] if several else []
    keys = "".join(
        f'<span><svg viewBox="0 0 26 12"><polygon class="{kind}" points="1,1 25,1 25,11 1,11"/>'
        f"</svg>{words}</span>"
        for kind, words in kinds
    )
    return f'<div class="legend">{keys}</div>'


def shown(metric: Metric, value: float) -> str:
    """A value as people read it: 0.8125 of accuracy is 81.2."""
    return f"{value * metric.scale:.{1 if metric.scale > 1 else 2}f}"


def signed(metric: Metric, value: float) -> str:
    """A difference with its sign, green for better and red for worse."""
    text = shown(metric, abs(value))
    if not float(text):
        return text
    better = (value > 0) == metric.rising
    return f'<span class="{"up" if better else "down"}">{"+" if value > 0 else "−"}{text}</span>'


def span(metric: Metric, low: float, high: float) -> str:
    """An interval: "78.0 to 84.5"."""
    low_text, high_text = (shown(metric, end).replace("-", "−") for end in (low, high))
    return f"{low_text} to {high_text}"


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


def _head(metric: Metric) -> str:
    unit = f" {metric.unit}" if metric.unit else ""
    arrow = "↑" if metric.rising else "↓"
    better = "more is better" if metric.rising else "less is better"
    name = f'<abbr title="{escape(metric.rule)}">{metric.title}</abbr>'
    return f'{name}{unit} <span title="{better}">{arrow}</span>'


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
    if gap.p_mcnemar is not None:
        below += f"<small>McNemar {p_value(gap.p_mcnemar)}</small>"
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
