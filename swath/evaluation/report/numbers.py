"""Numbers and words of a report as people read them: the filters of its templates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from swath.evaluation.metrics.base import METRICS, Metric, Score
from swath.evaluation.metrics.certainty import words
from swath.evaluation.metrics.statistics import Difference
from swath.evaluation.report.charts import Series

Columns = Sequence[tuple[Series, Mapping[str, Any]]]
"""Systems, and for each a value by column or by row of a table."""


def shown(value: float, metric: Metric) -> str:
    """A value as people read it: 0.8125 of accuracy is 81.2."""
    scaled = value * metric.scale
    decimals = 1 if metric.scale > 1 else 2
    text = f"{scaled:.{decimals}f}" if abs(scaled) < 1e5 else f"{scaled:.1e}"
    return text.replace("-", "−").replace("e+", "e")


def signed(value: float, metric: Metric) -> str:
    """A difference with its sign, green for better and red for worse."""
    text = shown(abs(value), metric)
    if not float(text):
        return text
    better = (value > 0) == metric.rising
    sign = "+" if value > 0 else "−"
    return Markup(f'<span class="{"up" if better else "down"}">{sign}{text}</span>')


def span(interval: Score | Difference, metric: Metric) -> str:
    """An interval: "78.0 to 84.5"."""
    assert interval.low is not None and interval.high is not None
    return f"{shown(interval.low, metric)} to {shown(interval.high, metric)}"


def part_of(count: int, total: int) -> str:
    """A count with its share: "12 (3.0 %)"."""
    return f"{count:,} ({100 * count / total:.1f} %)"


def grouped(count: int) -> str:
    """A count with its thousands apart: "7,500"."""
    return f"{count:,}"


def counted(count: int, noun: str) -> str:
    """ "1 scene", or "7,500 scenes"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """A time as "42 s", "3 min 20 s" or "2 h 5 min"."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minute} min"
    return f"{minute} min {second} s" if minutes else f"{second} s"


def p_value(p: float) -> str:
    """ "p < 0.001", or "p = 0.034"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def coded(text: str) -> Markup:
    """Words whose `quoted` parts are code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def anchor(title: str) -> str:
    """The id of a section."""
    return title.lower().replace(" ", "-")


def points(quad: Sequence[float]) -> str:
    """Corners of a box as an SVG polygon has them."""
    corners = zip(quad[0::2], quad[1::2], strict=True)
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)


def columns_of(systems: Columns) -> list[str]:
    """All names that some system has a value of, in the order they appear."""
    return list(dict.fromkeys(name for _, values in systems for name in values))


def metrics_of(systems: Columns) -> list[str]:
    """All metrics that some system has a score of, in the order of the metric table."""
    names = columns_of(systems)
    return [name for name in METRICS if name in names]


def samples_of(systems: Columns, part: str) -> str:
    """How many samples a slice has."""
    return grouped(max(slices[part].n for _, slices in systems if part in slices))


FILTERS = {
    filter.__name__: filter
    for filter in (
        shown, signed, span, part_of, grouped, counted, duration, p_value, coded, anchor, points,
        columns_of, metrics_of, samples_of,
    )
} | {"aim_words": words}  # fmt: skip
