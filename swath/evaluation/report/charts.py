"""Charts as inline SVG, drawn by `charts.svg`: loss curves, bars by class, intervals, certainty.

Colours are the style sheet's variables, so that a chart is light or dark as its page is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import uniform_filter1d

from swath.boxes import Floats
from swath.evaluation.metrics.base import Metric, Score
from swath.evaluation.metrics.classification import ClassScore

_MOST_POINTS = 400
_SMOOTHED_FROM = 40  # points of a line from which on it is drawn raw and smoothed
_SMOOTHED_OVER = 17  # points
_HEAD_PX = 30
_LIGHT = {"ink": "#22252a", "soft": "#6b6d70", "rule": "#e3dfd7", "tuned": "#1f6f8b"}

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
"""The templates of this folder; whatever they are given is escaped."""

_DRAW: Any = TEMPLATES.get_template("charts.svg").module


@dataclass(frozen=True)
class Series:
    """A system in a chart: its name and the style sheet's variable for its colour."""

    name: str
    style: str


def loss_curve(curves: Sequence[tuple[Series, Sequence[Mapping[str, Any]]]]) -> Markup:
    """Loss by step, one line a run, with a dotted line and a name where a stage begins.

    Args:
        curves: runs with their rows `step`, `loss` and `stage`, as `running` takes them.

    Returns:
        The SVG, or "" where no run has two losses.
    """
    lines = []
    boundaries = []
    for series, rows in curves:
        points = running(rows)
        if len(points) < 2:
            continue
        stages: dict[str, list[tuple[float, float]]] = {}
        for stage, step, loss in points:
            stages.setdefault(stage, []).append((step, loss))
        # Stages are smoothed apart: a new one may well begin with another loss.
        for stage, of_stage in stages.items():
            if len(stages) > 1:
                boundaries.append((stage, of_stage[0][0]))
            lines.append((series, *_raw_and_smooth(np.array(of_stage))))
    if not lines:
        return Markup("")
    drawn = np.concatenate([smooth if raw is None else raw for _, raw, smooth in lines])
    last_step, highest = np.maximum(drawn.max(axis=0) * (1, 1.05), 1e-9).tolist()
    step_ticks, loss_ticks = _ticks(last_step, 8), _ticks(highest, 5)
    return Markup(_DRAW.losses(lines, boundaries, last_step, highest, step_ticks, loss_ticks))


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
        stage = row.get("stage")
        last = before + step
        if math.isfinite(float(row["loss"])):
            points.append((str(stage or ""), last, float(row["loss"])))
    return points


def class_bars(runs: Sequence[tuple[Series, Sequence[ClassScore]]]) -> list[Markup]:
    """F1 of each class, a bar a run, ordered by the last run's, best first; one or two charts."""
    ordered = sorted(runs[-1][1], key=lambda row: (-row.f1, row.label))
    tables = [(series, {row.label: row for row in rows}) for series, rows in runs]
    half = len(ordered) if len(ordered) <= 14 else math.ceil(len(ordered) / 2)
    columns = [ordered[:half], ordered[half:]]
    return [Markup(_DRAW.bars(rows, tables)) for rows in columns if rows]


def intervals(metric: Metric, rows: Sequence[tuple[Series, Score]]) -> Markup:
    """One metric of several systems: a dot with its interval each, on one scale from 0."""
    highest = 100.0
    if metric.unit != "%":
        ends = [score.value if score.high is None else score.high for _, score in rows]
        highest = max(1.05 * metric.scale * max(ends), 1e-9)
    return Markup(_DRAW.intervals(metric, rows, highest, _ticks(highest, 5)))


def reliability(curves: Sequence[tuple[Series, Sequence[tuple[float, ...]]]]) -> Markup:
    """Share of right answers by confidence, a dot a bin; on the dotted line is well calibrated.

    Args:
        curves: systems with the bins of their certainty: low, high, n, confidence, accuracy.
    """
    drawn = []
    for series, bins in curves:
        dots = []
        for _, _, count, confidence, accuracy in bins:
            sure, right = 100 * confidence, 100 * accuracy
            hover = f"{series.name}: {count:,} answers {sure:.0f} % sure, {right:.0f} % right"
            dots.append(((sure, right), hover))
        drawn.append((series, [point for point, _ in dots], dots))
    return Markup(_DRAW.shares("Reliability", "sure", "right", drawn, True))


def coverage(curves: Sequence[tuple[Series, Any]]) -> Markup:
    """Accuracy of the surest answers, by how many are answered.

    Args:
        curves: systems with the curve of their certainty, shares from 0 to 1.
    """
    drawn = []
    for series, curve in curves:
        points = _thinned(100 * np.stack([curve.coverage, curve.accuracy], axis=1))
        dots = [(points[0], series.name)] if len(points) == 1 else []
        drawn.append((series, points, dots))
    return Markup(_DRAW.shares("Accuracy by coverage", "answered", "right", drawn, False))


def stacked(charts: Sequence[tuple[str, Markup]]) -> Markup:
    """Charts one below the other, each under its head, as one chart."""
    parts = []
    widest, bottom = 0, 0
    for head, chart in charts:
        width, height = map(int, re.findall(r'viewBox="0 0 (\d+) (\d+)"', chart)[0])
        parts.append((head, chart, bottom, width, height))
        widest = max(widest, width)
        bottom += _HEAD_PX + height
    return Markup(_DRAW.stacked(parts, widest, bottom))


def as_file(chart: str) -> str:
    """A chart as an SVG file of its own, which has no page to take colours from."""
    colours = ";".join(f"--{name}:{colour}" for name, colour in _LIGHT.items())
    style = f"<style>svg{{{colours};font-family:sans-serif}}</style>"
    opening, _, body = chart.strip().partition(">")
    return f'{opening} xmlns="http://www.w3.org/2000/svg">{style}{body}\n'


def _ticks(highest: float, most: int) -> list[float]:
    """Round numbers from 0 to a highest one."""
    ticks = np.asarray(MaxNLocator(most).tick_values(0, highest))
    shown: list[float] = ticks[ticks <= highest * (1 + 1e-9)].tolist()
    return shown


def _raw_and_smooth(line: Floats) -> tuple[Floats | None, Floats]:
    """Losses of one stage, thinned; where there are many, also smoothed."""
    line = _thinned(line)
    if len(line) <= _SMOOTHED_FROM:
        return None, line
    smooth = uniform_filter1d(line[:, 1], _SMOOTHED_OVER, mode="nearest")
    return line, np.stack([line[:, 0], smooth], axis=1)


def _thinned(points: Floats) -> Floats:
    """At most `_MOST_POINTS` points, each the mean of its neighbours."""
    size = math.ceil(len(points) / _MOST_POINTS)
    groups = np.array_split(points, math.ceil(len(points) / size))
    return np.array([group.mean(axis=0) for group in groups])
