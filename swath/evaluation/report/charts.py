"""Charts as inline SVG by matplotlib: loss curves, bars by class, intervals, certainty.

Colours are the style sheet's variables, so that a chart is light or dark as its page is.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from swath.evaluation.metrics.base import Metric, Score
from swath.evaluation.metrics.classification import ClassScore

_FONT_PX = 12.5
_KEPT = ("d", "x", "y")  # attributes of what is drawn that the page needs
_DPI = 72  # at which a point is a pixel of the SVG
_MOST_POINTS = 400
_SMOOTHED_FROM = 40  # points of a line from which on it is drawn raw and smoothed
_INKS = ("ink", "soft", "rule", "floor", "base", "tuned", "c2", "c3", "c4")
# matplotlib knows no CSS variables: each has a colour of its own that is replaced by its name.
_COLOURS = {name: f"#0a0b{number:02x}" for number, name in enumerate(_INKS)}
_LIGHT = {"ink": "#22252a", "soft": "#6b6d70", "rule": "#e3dfd7", "tuned": "#1f6f8b"}
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "swath",
    "font.size": _FONT_PX,
    "axes.edgecolor": "none",
    "axes.labelcolor": _COLOURS["soft"],
    "text.color": _COLOURS["soft"],
    "xtick.color": _COLOURS["soft"],
    "ytick.color": _COLOURS["soft"],
    "xtick.bottom": False,
    "ytick.left": False,
    "grid.color": _COLOURS["rule"],
}


@dataclass(frozen=True)
class Series:
    """A system in a chart: its name and the style sheet's variable for its colour."""

    name: str
    style: str

    @property
    def colour(self) -> str:
        """As matplotlib is told it."""
        return _COLOURS[self.style]


class Chart:
    """A figure of one pair of axes, and what is said of its parts.

    Args:
        title: what it shows, for those who cannot see it.
        size: width and height in pixels.
        margins: left, right, top and bottom in pixels.
    """

    def __init__(
        self, title: str, size: tuple[float, float], margins: tuple[float, float, float, float]
    ) -> None:
        self.title = title
        width, height = size
        left_px, right_px, top_px, bottom_px = margins
        self.figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
        with matplotlib.rc_context(_SETTINGS):
            self.axes: Axes = self.figure.add_axes(
                (
                    left_px / width,
                    bottom_px / height,
                    (width - left_px - right_px) / width,
                    (height - top_px - bottom_px) / height,
                )
            )
        self.axes.patch.set_visible(False)
        self.axes.spines[:].set_visible(False)
        self.figure.patch.set_visible(False)
        self._notes: dict[str, tuple[str, str]] = {}

    def note(self, artist: Artist, style: str, hover: str = "") -> None:
        """Give an artist a class of the style sheet, and words that appear when pointed at."""
        name = f"part{len(self._notes)}"
        artist.set_gid(name)
        artist.set_clip_on(False)
        self._notes[name] = (style, hover)

    def text(self, x: float, y: float, words: str, ink: str, **placed: Any) -> Text:
        """Words that begin at a place of the axes, or as matplotlib's own options say."""
        options: Any = {"color": _COLOURS[ink], "fontsize": _FONT_PX, "parse_math": False}
        return self.axes.text(x, y, words, **options, **placed)

    def grid(self, axis: str) -> None:
        """Draw hairlines behind all else at the ticks of the "x" or the "y" axis."""
        self.axes.set_axisbelow(True)
        self.axes.grid(axis=axis, color=_COLOURS["rule"], clip_on=False)  # type: ignore[arg-type]

    def svg(self) -> Markup:
        """The chart for a page: no script, no address, no style sheet of its own."""
        stream = io.StringIO()
        with matplotlib.rc_context(_SETTINGS):
            self.figure.savefig(stream, format="svg", metadata={"Date": None})
        root = ElementTree.fromstring(stream.getvalue())
        box = {"class": "chart", "viewBox": root.attrib["viewBox"], "role": "img"}
        drawn = ElementTree.Element("svg", box | {"aria-label": self.title})
        drawn.extend(self._plain(root))
        text = ElementTree.tostring(drawn, encoding="unicode", short_empty_elements=False)
        for name, colour in _COLOURS.items():
            text = text.replace(colour, f"var(--{name})")
        return Markup(text)

    def _plain(self, element: ElementTree.Element) -> list[ElementTree.Element]:
        """What is drawn within an element, without namespace, font and the groups around it."""
        plain = []
        for child in element:
            tag = str(child.tag).rpartition("}")[2]
            if tag == "g":
                plain += self._group(child)
            elif tag in ("path", "text"):
                style = _without_font(child.attrib.pop("style", ""))
                attributes = {name: value for name, value in child.attrib.items() if name in _KEPT}
                copy = ElementTree.Element(tag, attributes | {"style": style})
                copy.text = child.text
                plain.append(copy)
        return plain

    def _group(self, group: ElementTree.Element) -> list[ElementTree.Element]:
        """A group's parts, and the group itself if it has been noted."""
        style, hover = self._notes.get(group.get("id", ""), ("", ""))
        parts = self._plain(group)
        if not style:
            return parts
        noted = ElementTree.Element("g", {"class": style})
        if hover:
            ElementTree.SubElement(noted, "title").text = hover
        noted.extend(parts)
        return [noted]


def loss_curve(curves: Sequence[tuple[Series, Sequence[Mapping[str, Any]]]]) -> Markup:
    """Loss by step, one line a run, with a hairline and a name where a stage begins.

    Args:
        curves: runs with their rows `step`, `loss` and `stage`, as `running` takes them.

    Returns:
        The SVG, or "" where no run has two losses.
    """
    drawn = []
    for series, rows in curves:
        points = running(rows)
        if len(points) > 1:
            drawn.append((series, points))
    if not drawn:
        return Markup("")
    chart = Chart("Training loss by step", (960, 300), (48, 12, 26, 40))
    axes = chart.axes
    chart.grid("y")
    axes.set_xlabel("step", loc="right")
    for series, points in drawn:
        stages: dict[str, list[tuple[float, float]]] = {}
        for stage, step, loss in points:
            stages.setdefault(stage, []).append((step, loss))
        for stage, line in stages.items():
            if len(stages) > 1:
                _boundary(chart, stage, line[0][0])
            _loss_line(chart, series, np.array(line))
    axes.margins(x=0)
    axes.set_xlim(0)
    axes.set_ylim(0)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    return chart.svg()


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
    return [_bars(rows, tables) for rows in columns if rows]


def intervals(metric: Metric, rows: Sequence[tuple[Series, Score]]) -> Markup:
    """One metric of several systems: a dot with its interval each, on one scale from 0."""
    scale = metric.scale
    values = "; ".join(f"{series.name} {score.value * scale:.1f}" for series, score in rows)
    title = f"{metric.title} with 95 % intervals: {values}"
    chart = Chart(title, (960, 30 * len(rows) + 30), (190, 40, 4, 26))
    axes = chart.axes
    chart.grid("x")
    for place, (series, score) in enumerate(rows):
        if score.low is not None and score.high is not None:
            ends = (score.low * scale, score.high * scale)
            (whisker,) = axes.plot(
                ends, (place, place), color=series.colour, lw=3, alpha=0.45, solid_capstyle="round"
            )
            chart.note(whisker, "whisker")
        _dot(chart, series, score.value * scale, place)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    if metric.unit == "%":
        axes.set_xlim(0, 100)
    else:
        axes.set_xlim(0, max(axes.get_xlim()[1], 1e-9))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} {metric.unit}".strip())
    _names_at_left(chart, [series.name for series, _ in rows], [s.style for s, _ in rows], 26)
    return chart.svg()


def reliability(curves: Sequence[tuple[Series, Sequence[tuple[float, ...]]]]) -> Markup:
    """Share of right answers by confidence, a dot a bin; on the dotted line is well calibrated.

    Args:
        curves: systems with the bins of their certainty: low, high, n, confidence, accuracy.
    """
    chart = _shares("Reliability", "sure", "right")
    (diagonal,) = chart.axes.plot((0, 100), (0, 100), color=_COLOURS["soft"], lw=1, ls=(0, (2, 4)))
    chart.note(diagonal, "boundary")
    for series, bins in curves:
        points = 100 * np.array([(sure, right) for _, _, _, sure, right in bins])
        _line(chart, series, points)
        for (_, _, count, *_), (sure, right) in zip(bins, points, strict=True):
            hover = f"{series.name}: {count:,} answers {sure:.0f} % sure, {right:.0f} % right"
            _dot(chart, series, sure, right, hover, radius=4)
    return chart.svg()


def coverage(curves: Sequence[tuple[Series, Any]]) -> Markup:
    """Accuracy of the surest answers, by how many are answered.

    Args:
        curves: systems with the curve of their certainty, shares from 0 to 1.
    """
    chart = _shares("Accuracy by coverage", "answered", "right")
    for series, curve in curves:
        points = 100 * np.stack([curve.coverage, curve.accuracy], axis=1)
        if len(points) == 1:
            _dot(chart, series, points[0, 0], points[0, 1], series.name, radius=4)
        else:
            _line(chart, series, _thinned(points))
    return chart.svg()


def stacked(charts: Sequence[tuple[str, Markup]]) -> Markup:
    """Charts one below the other, each under its head, as one chart."""
    head_px = 30
    whole = ElementTree.Element("svg", {"class": "chart", "role": "img"})
    width, top = 0.0, 0.0
    for head, chart in charts:
        part = ElementTree.fromstring(chart)
        _, _, part_width, part_height = map(float, part.attrib["viewBox"].split())
        place = {"x": "8", "y": f"{top + 20}", "font-size": f"{_FONT_PX}"}
        ElementTree.SubElement(whole, "text", place).text = head
        size = {"y": f"{top + head_px}", "width": f"{part_width}", "height": f"{part_height}"}
        part.attrib.update(size)
        whole.append(part)
        width = max(width, part_width)
        top += head_px + part_height
    whole.set("viewBox", f"0 0 {width:g} {top:g}")
    return Markup(ElementTree.tostring(whole, encoding="unicode", short_empty_elements=False))


def as_file(chart: str) -> str:
    """A chart as an SVG file of its own, which has no page to take colours from."""
    colours = ";".join(f"--{name}:{colour}" for name, colour in _LIGHT.items())
    style = f"<style>svg{{{colours};font-family:sans-serif}}</style>"
    opening, _, body = chart.partition(">")
    return f'{opening} xmlns="http://www.w3.org/2000/svg">{style}{body}\n'


def _shares(title: str, x_name: str, y_name: str) -> Chart:
    """An empty chart of one share against another, both in per cent."""
    chart = Chart(title, (480, 310), (52, 14, 34, 46))
    axes = chart.axes
    chart.grid("y")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_xlabel(f"{x_name}, %", loc="right")
    axes.set_title(f"{y_name}, %", loc="left", fontsize=_FONT_PX, x=-0.11, pad=14)
    return chart


def _bars(
    rows: Sequence[ClassScore], tables: Sequence[tuple[Series, Mapping[str, ClassScore]]]
) -> Markup:
    bar_px, gap_px = 8, 14
    pitch_px = bar_px * len(tables) + gap_px
    thickness = bar_px / pitch_px
    values = "; ".join(f"{row.label} {100 * row.f1:.0f}" for row in rows)
    title = f"F1 by class of {tables[-1][0].name}: {values}"
    chart = Chart(title, (480, pitch_px * len(rows) + 6), (150, 44, 3, 3))
    axes = chart.axes
    for place, row in enumerate(rows):
        for number, (series, table) in enumerate(tables):
            y = place + (number - (len(tables) - 1) / 2) * thickness
            length = max(table[row.label].f1, 0.005)
            (bar,) = axes.barh(y, length, 0.85 * thickness, color=series.colour, lw=0)
            chart.note(bar, "bar")
        chart.text(1.03, place, f"{100 * row.f1:.0f}", "ink", va="center")
    (edge,) = axes.plot((0, 0), (-0.5, len(rows) - 0.5), color=_COLOURS["rule"], lw=1)
    chart.note(edge, "grid")
    axes.set_xlim(0, 1)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks([])
    hovers = [f"{row.label}, n {row.support:,}" for row in rows]
    _names_at_left(chart, [row.label for row in rows], ["ink"] * len(rows), 20, hovers)
    return chart.svg()


def _names_at_left(
    chart: Chart,
    names: Sequence[str],
    styles: Sequence[str],
    longest: int,
    hovers: Sequence[str] = (),
) -> None:
    """Name the rows of a chart, cut to a length and said whole when pointed at."""
    chart.axes.set_yticks([])
    edge = chart.axes.get_yaxis_transform()
    for place, (name, style, hover) in enumerate(zip(names, styles, hovers or names, strict=True)):
        words = name if len(name) <= longest else name[: longest - 1] + "…"
        ink = "soft" if style == "floor" else "ink"
        text = chart.text(-0.02, place, words, ink, transform=edge, ha="right", va="center")
        chart.note(text, "name", hover)


def _boundary(chart: Chart, stage: str, step: float) -> None:
    """A dotted line where a stage begins, with its name above."""
    axes = chart.axes
    chart.note(axes.axvline(step, color=_COLOURS["soft"], lw=1, ls=(0, (2, 4))), "boundary")
    top = axes.get_xaxis_transform()
    chart.text(step, 1.03, f" {stage}", "soft", transform=top)


def _loss_line(chart: Chart, series: Series, line: np.ndarray) -> None:
    """Losses of one stage, thinned; smoothed over the raw ones where there are many.

    Stages are smoothed apart: a new one may well begin with another loss.
    """
    line = _thinned(line)
    if len(line) > _SMOOTHED_FROM:
        (raw,) = chart.axes.plot(*line.T, color=series.colour, lw=1, alpha=0.32)
        chart.note(raw, f"raw {series.style}")
        line = _smoothed(line)
    _line(chart, series, line)


def _line(chart: Chart, series: Series, points: np.ndarray) -> None:
    (line,) = chart.axes.plot(*points.T, color=series.colour, lw=2.2, solid_capstyle="round")
    chart.note(line, f"curve {series.style}")


def _dot(
    chart: Chart, series: Series, x: float, y: float, hover: str = "", radius: float = 5
) -> None:
    """A line of no length with round ends, which needs no marker defined elsewhere."""
    (dot,) = chart.axes.plot(
        [x, x], [y, y], color=series.colour, lw=2 * radius, solid_capstyle="round", zorder=3
    )
    chart.note(dot, f"dot {series.style}", hover)


def _thinned(points: np.ndarray) -> np.ndarray:
    """At most `_MOST_POINTS` points, each the mean of its neighbours."""
    size = math.ceil(len(points) / _MOST_POINTS)
    groups = np.array_split(points, math.ceil(len(points) / size))
    return np.array([group.mean(axis=0) for group in groups])


def _smoothed(points: np.ndarray, reach: int = 8) -> np.ndarray:
    """The mean of each loss and its `reach` neighbours on both sides."""
    window = np.ones(2 * reach + 1)
    sums = np.convolve(points[:, 1], window, mode="same")
    counts = np.convolve(np.ones(len(points)), window, mode="same")
    return np.stack([points[:, 0], sums / counts], axis=1)


def _without_font(style: str) -> str:
    """A style whose font is the page's: of it only the size is kept."""
    parts = [part for part in style.split("; ") if not part.startswith("font-family")]
    return "; ".join(parts)
