"""Charts as inline SVG: loss curves, bars by class, intervals; coloured by the style sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from swath.evaluation.metrics.base import Metric, Score
from swath.evaluation.metrics.classification import ClassScore

_MOST_POINTS = 400


@dataclass(frozen=True)
class Series:
    """A system in a chart: its name and the style sheet's class for its colour."""

    name: str
    style: str


def loss_curve(curves: Sequence[tuple[Series, Sequence[Mapping[str, Any]]]]) -> str:
    """Loss by step, one line a run, with a hairline and a name where a stage begins.

    Args:
        curves: runs with their rows `step`, `loss` and `stage`, as `running` takes them.

    Returns:
        The SVG, or "" where no run has two losses.
    """
    drawn = [(series, points) for series, rows in curves if len(points := running(rows)) > 1]
    if not drawn:
        return ""
    width, height, left, right, top, bottom = 960.0, 300.0, 48.0, 12.0, 26.0, 34.0
    steps = [step for _, points in drawn for _, step, _ in points]
    losses = [loss for _, points in drawn for _, _, loss in points]
    x_ticks, y_ticks = ticks(0.0, max(steps), 8), ticks(0.0, max(losses), 5)

    def at(step: float, loss: float) -> tuple[float, float]:
        x = left + step / (max(steps) or 1.0) * (width - left - right)
        return x, height - bottom - loss / y_ticks[-1] * (height - top - bottom)

    parts = [_open(width, height, "Training loss by step")]
    for tick in y_ticks:
        y = at(0, tick)[1]
        parts.append(_line(left, y, width - right, y, "grid"))
        parts.append(_text(left - 8, y + 4, f"{tick:g}", "end"))
    for tick in [tick for tick in x_ticks if tick <= max(steps)]:
        parts.append(_text(at(tick, 0)[0], height - bottom + 18, f"{tick:g}", "middle"))
    parts.append(_text(width - right, height - 2, "step", "end", "axis"))
    for series, every in drawn:
        stages: dict[str, float] = {}
        for stage, step, _ in every:
            stages.setdefault(stage, step)
        if len(stages) > 1:
            for stage, step in stages.items():
                x = at(step, 0)[0]
                parts.append(_line(x, top - 10, x, height - bottom, "boundary"))
                parts.append(_text(x + 6, top - 4, stage, "start", "axis"))
        # Stages are smoothed apart: a new one may well begin with another loss.
        for stage in stages:
            line = _thinned([(step, loss) for of, step, loss in every if of == stage])
            if len(line) > 40:
                parts.append(_path([at(*point) for point in line], f"raw {series.style}"))
                line = _smoothed(line)
            parts.append(_path([at(*point) for point in line], f"curve {series.style}"))
    return "".join([*parts, "</svg>"])


def running(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, float]]:
    """Stage, step and loss of each row, steps counted on where a stage begins again at 0.

    A loss that is no number is left out.
    """
    points = []
    before, last, stage = 0.0, 0.0, None
    for row in rows:
        step = float(row["step"])
        if row.get("stage") != stage and before + step <= last:
            before = last
        stage, last = row.get("stage"), before + step
        if math.isfinite(float(row["loss"])):
            points.append((str(stage or ""), last, float(row["loss"])))
    return points


def class_bars(runs: Sequence[tuple[Series, Sequence[ClassScore]]]) -> str:
    """F1 of each class, a bar a run, ordered by the last run's, best first."""
    order = sorted(runs[-1][1], key=lambda row: (-row.f1, row.label))
    tables = [(series, {row.label: row for row in rows}) for series, rows in runs]
    half = len(order) if len(order) <= 14 else -(-len(order) // 2)
    return "".join(_bars(rows, tables) for rows in (order[:half], order[half:]) if rows)


def intervals(metric: Metric, rows: Sequence[tuple[Series, Score]]) -> str:
    """One metric of several systems: a dot with its interval each, on one scale from 0."""
    highest = max(max(score.value, score.high or 0.0) for _, score in rows) * metric.scale
    top = 100.0 if metric.unit == "%" else ticks(0.0, highest or 1.0, 5)[-1]
    width, left, right, row_height = 960.0, 190.0, 40.0, 30.0
    height = row_height * len(rows) + 30

    def at(value: float) -> float:
        return left + value * metric.scale / top * (width - left - right)

    values = "; ".join(f"{one.name} {score.value * metric.scale:.1f}" for one, score in rows)
    parts = [_open(width, height, f"{metric.title} with 95 % intervals: {values}")]
    for tick in ticks(0.0, top, 5):
        x = at(tick / metric.scale)
        parts.append(_line(x, 4, x, height - 22, "grid"))
        parts.append(_text(x, height - 6, f"{tick:g} {metric.unit}".strip(), "middle"))
    for number, (series, score) in enumerate(rows):
        y = row_height * number + 20
        name, style = _short(series.name, 26), f"name {series.style}"
        parts.append(_text(left - 16, y + 4, name, "end", style, series.name))
        if score.low is not None and score.high is not None:
            parts.append(_line(at(score.low), y, at(score.high), y, f"whisker {series.style}"))
        x = at(score.value)
        parts.append(f'<circle class="dot {series.style}" cx="{x:.1f}" cy="{y:g}" r="5"/>')
    return "".join([*parts, "</svg>"])


def shares(
    titles: tuple[str, str, str],
    curves: Sequence[tuple[Series, Sequence[tuple[float, float]], Sequence[str]]],
    diagonal: bool = False,
) -> str:
    """Shares against shares, 0 to 1: lines through points, a dot each where it has a hover text.

    Args:
        titles: of the chart, of the x and of the y axis.
        curves: systems with points (x, y), and a hover text each or none at all.
        diagonal: draw where x is y.
    """
    width, height, left, right, top, bottom = 480.0, 310.0, 52.0, 14.0, 26.0, 40.0

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x * (width - left - right), height - bottom - y * (height - top - bottom)

    parts = [_open(width, height, titles[0])]
    for tick in ticks(0.0, 100.0, 5):
        x, y = at(tick / 100, tick / 100)
        parts.append(_line(left, y, width - right, y, "grid"))
        parts.append(_text(left - 8, y + 4, f"{tick:g}", "end"))
        parts.append(_text(x, height - bottom + 18, f"{tick:g}", "middle"))
    parts.append(_text(width - right, height - 4, f"{titles[1]}, %", "end", "axis"))
    parts.append(_text(4, 12, f"{titles[2]}, %", "start", "axis"))
    if diagonal:
        parts.append(_line(*at(0, 0), *at(1, 1), "boundary"))
    for series, points, hovers in curves:
        line = points if hovers else _thinned(points)
        hovers = hovers or ([series.name] if len(points) == 1 else [])
        parts.append(_path([at(*point) for point in line], f"curve {series.style}"))
        for (x, y), hover in zip((at(*point) for point in points), hovers, strict=False):
            parts.append(
                f'<circle class="dot {series.style}" cx="{x:.1f}" cy="{y:.1f}" r="4">'
                f"<title>{escape(hover)}</title></circle>"
            )
    return "".join([*parts, "</svg>"])


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from `low` to the first at or above `high`, about so many."""
    if high <= low:
        high = low + 1.0
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * (1 - 1e-9))
    count = math.ceil((high - low) / step - 1e-9)
    return [round(low + step * number, 10) for number in range(count + 1)]


def _bars(
    rows: Sequence[ClassScore], tables: Sequence[tuple[Series, Mapping[str, ClassScore]]]
) -> str:
    bar, gap = 8.0, 14.0
    pitch = bar * len(tables) + gap
    width, left, right = 480.0, 150.0, 44.0
    height = pitch * len(rows) + 6
    values = "; ".join(f"{row.label} {100 * row.f1:.0f}" for row in rows)
    parts = [_open(width, height, f"F1 by class of {tables[-1][0].name}: {values}")]
    for number, row in enumerate(rows):
        y = pitch * number + gap / 2
        middle = y + bar * len(tables) / 2 + 4
        hover = f"{row.label}, n {row.support:,}"
        parts.append(_text(left - 10, middle, _short(row.label), "end", "name", hover))
        parts.append(_text(width - right + 10, middle, f"{100 * row.f1:.0f}", "start", "value"))
        parts.append(_line(left, y - 2, left, y + bar * len(tables) + 2, "grid"))
        for place, (series, table) in enumerate(tables):
            length = table[row.label].f1 * (width - left - right)
            parts.append(
                f'<rect class="bar {series.style}" x="{left}" y="{y + bar * place:.1f}" '
                f'width="{max(length, 1.5):.1f}" height="{bar - 1}" rx="1"/>'
            )
    return "".join([*parts, "</svg>"])


def _open(width: float, height: float, title: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}">'
    )


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, words: str, anchor: str, style: str = "tick", hover: str = "") -> str:
    title = f"<title>{escape(hover)}</title>" if hover else ""
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{title}{escape(words)}</text>"
    )


def _path(points: Sequence[tuple[float, float]], style: str) -> str:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{style}" points="{joined}"/>'


def _short(words: str, most: int = 20) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `_MOST_POINTS` points, each the mean of its neighbours."""
    size = -(-len(points) // _MOST_POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]


def _smoothed(points: Sequence[tuple[float, float]], reach: int = 8) -> list[tuple[float, float]]:
    """The mean of each point and its `reach` neighbours on both sides."""
    smooth = []
    for number, (x, _) in enumerate(points):
        near = points[max(0, number - reach) : number + reach + 1]
        smooth.append((x, sum(y for _, y in near) / len(near)))
    return smooth
