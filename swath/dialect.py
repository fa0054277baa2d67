"""Box text: how each model family writes boxes among its words, and reads them back.

`write` and `read` of one `Dialect` are inverse within the rounding of its numbers. Boxes go in and
come out in pixels of the image whose `size_wh` is given.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.boxes import Boxes, iou
from swath.errors import RequestError
from swath.registry import Registry

DELIMITER = "<delim>"

GRID = 100
"""GeoChat and MiniGPT-v2 count 0 to 100 along the width and along the height."""

# The digits before the point and the exponent are bounded, so that no answer, however odd, becomes
# a number that is not finite; decimals are as many as a program prints.
_VALUE = r"(-?(?:[0-9]{1,5}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE](?:-[0-9]{1,3}|\+?0*[0-9]))?)"
_NUMBER = rf"\s*{_VALUE}\s*"
_ON_GRID = rf"<{_NUMBER}>\s*"
ORIENTED = re.compile(rf"\{{\s*{_ON_GRID * 4}(?:\|\s*{_ON_GRID})?\}}")
HORIZONTAL = re.compile(rf"\{{\s*{_ON_GRID * 4}\}}")
# Chinese answers hold full-width commas and brackets.
_FOUR = rf"[\[［;]{'[,，]'.join([_NUMBER] * 4)}(?=[\]］;])"
# Between values stands a blank: without it the digits of one could be those of several.
PLAIN = re.compile(r"\[box" + rf"\s+{_VALUE}" * 8 + r"\s*\]")
BRACKETED = re.compile(rf"[\[［;]{'[,，]'.join([_NUMBER] * 4)}(?:[,，]{_NUMBER})?(?=[\]］;])")


@dataclass(frozen=True)
class Dialect:
    """One notation of boxes.

    Args:
        oriented: the notation holds an angle; otherwise it keeps only the horizontal box.
        write: text of boxes in pixels of an image of size (width, height); "" for no box.
        read: boxes found in a text, in order, same pixels. It never raises: a text without a
            readable box gives empty `Boxes`, which a metric counts as unreadable.
        span: the text of one or several boxes, as it stands among words; None: it is not told
            apart from them.
    """

    oriented: bool
    write: Callable[[Boxes, tuple[int, int]], str]
    read: Callable[[str, tuple[int, int]], Boxes]
    span: re.Pattern[str] | None = None


DIALECTS: Registry[Dialect] = Registry("dialect", "swath.dialects")


def write_geochat(boxes: Boxes, size_wh: tuple[int, int]) -> str:
    """Oriented boxes as `{<x1><y1><x2><y2>|<angle>}`, joined by `<delim>`.

    The corners are those of the upright rectangle before it is turned about its centre by the
    angle, which is in (0, 90] degrees, clockwise on screen, in pixels and not on the grid. Upright
    corners of a box near the border may therefore lie outside 0 to 100. Of the whole numbers next
    to the true ones, those are written whose box overlaps the true box most.

    Source: GeoChat (arXiv:2311.15826), direction from its issue 41.
    """
    texts = []
    for row, box in enumerate(boxes.rotated):
        exact = _on_grid(box, size_wh)
        turned = [_on_grid(turned_box, size_wh) for turned_box in _whole_angles(box)]
        near = np.concatenate([_integers_near(grid) for grid in turned])
        best = _closest(near, exact, from_grid(near, size_wh), boxes[row])
        x1, y1, x2, y2, angle = near[best]
        texts.append(f"{{<{x1}><{y1}><{x2}><{y2}>|<{angle}>}}")
    return DELIMITER.join(texts)


def read_geochat(text: str, size_wh: tuple[int, int]) -> Boxes:
    """Oriented boxes of a text, whatever stands between them.

    Released files hold numbers outside 0 to 100, any angle and swapped corners: all are read. Four
    numbers without an angle are a horizontal box.
    """
    return from_grid(numbers(ORIENTED, text), size_wh)


def write_minigpt(boxes: Boxes, size_wh: tuple[int, int]) -> str:
    """Horizontal boxes as `{<x1><y1><x2><y2>}`, 0 to 100, joined by `<delim>`.

    An oriented box is written as the horizontal box around it, cut at the image's border.

    Source: MiniGPT-v2 (arXiv:2310.09478).
    """
    texts = []
    for x1, y1, x2, y2 in boxes.hbb:
        width, height = x2 - x1, y2 - y1
        box = np.array([x1 + width / 2, y1 + height / 2, width, height, 0.0])
        exact = _on_grid(box, size_wh)
        near = _integers_near(exact)
        near = near[((near[:, :4] >= 0) & (near[:, :4] <= GRID)).all(axis=1)]
        if not len(near):  # it reaches over the border
            near = _inside(exact)
        truth = Boxes.from_hbb([x1, y1, x2, y2])
        corners = near[_closest(near, exact, from_grid(near, size_wh), truth), :4]
        texts.append("{" + "".join(f"<{number}>" for number in corners) + "}")
    return DELIMITER.join(texts)


def read_minigpt(text: str, size_wh: tuple[int, int]) -> Boxes:
    """Horizontal boxes of a text; one with an angle is not of this dialect and is left out."""
    return from_grid(numbers(HORIZONTAL, text), size_wh)


def numbers(pattern: re.Pattern[str], text: str) -> NDArray[np.float64]:
    """(n, 5) grid numbers and angle of every match; the angle is 0 where the text has none."""
    rows = []
    for match in pattern.finditer(text):
        values = [float(number or 0) for number in match.groups()]
        rows.append([*values, 0.0][:5])
    return np.array(rows).reshape(-1, 5)


def from_grid(rows: NDArray[np.generic], size_wh: tuple[int, int]) -> Boxes:
    """Boxes in pixels from (n, 5) rows x1, y1, x2, y2 on the grid and angle in degrees."""
    values = np.asarray(rows, dtype=np.float64)
    scale = np.asarray(size_wh, dtype=np.float64) / GRID
    low, high = values[:, :2] * scale, values[:, 2:4] * scale
    return Boxes.from_rotated(
        np.concatenate([(low + high) / 2, np.abs(high - low), values[:, 4:]], axis=1)
    )


_FIELD = re.compile(r"\{:[^{}]*\}")
_PAIR = rf"\({_NUMBER},{_NUMBER}\)"
_PAIRS = rf"{_PAIR}\s*,\s*{_PAIR}"
_NAMED = rf"""bbox_2d["']?\s*:\s*\[{",".join([_NUMBER] * 4)}\]"""
_PLACES = r"<loc(\d{4})>\s*" * 4
_BINS = r"<loc_(\d{1,4})>\s*" * 4


def _upright(
    pattern: str,
    template: str,
    grid: float | Callable[[tuple[int, int]], tuple[int, int]],
    most: float = math.inf,
    order: tuple[int, ...] = (0, 1, 2, 3),
    middle: float = 0.0,
    whole: str = "{}",
) -> Dialect:
    """Horizontal boxes as four numbers.

    Args:
        pattern: of one box, four groups.
        template: of one box.
        grid: what width and height are counted as: one number for both, or as the image's size
            tells it.
        most: the largest number that is written.
        order: which of x1, y1, x2, y2 each number is.
        middle: what is added to a number that stands for a bin.
        whole: template around several boxes.
    """
    reader = re.compile(pattern)

    def of(size_wh: tuple[int, int]) -> NDArray[np.float64]:
        counted = grid(size_wh) if callable(grid) else (grid, grid)
        return np.tile(np.array(size_wh) / np.array(counted), 2)

    def write(boxes: Boxes, size_wh: tuple[int, int]) -> str:
        within = np.clip(boxes.hbb, 0, np.tile(size_wh, 2)) / of(size_wh) - middle
        rows = np.clip(within, 0, most)[:, list(order)]
        return whole.format(", ".join(template.format(*row) for row in rows)) if len(rows) else ""

    def read(text: str, size_wh: tuple[int, int]) -> Boxes:
        rows = np.array([match.groups() for match in reader.finditer(text)], dtype=np.float64)
        corners = rows.reshape(-1, 4)[:, np.argsort(order)]
        return Boxes.from_hbb((corners + middle) * of(size_wh))

    return Dialect(oriented=False, write=write, read=read, span=_span(template, whole))


def _span(template: str, whole: str) -> re.Pattern[str]:
    """What boxes of a template look like among words."""
    plain = template.replace("{{", "\0").replace("}}", "\1")
    pieces = [piece.replace("\0", "{").replace("\1", "}") for piece in _FIELD.split(plain)]
    box = r"-?\d+(?:\.\d+)?".join(map(re.escape, pieces))
    before, _, after = whole.partition("{}")
    return re.compile(f"{re.escape(before)}{box}(?:,? ?{box})*{re.escape(after)}")


def resized(size_wh: tuple[int, int]) -> tuple[int, int]:
    """The size at which Qwen2.5-VL sees an image: multiples of 28, 3,136 to 12,845,056 pixels.

    Source: the limits of its checkpoints' own processors; one run with others sees another size.
    """
    smallest, largest = 3_136, 12_845_056
    sides = [max(28, 28 * round(side / 28)) for side in size_wh]
    if not smallest <= sides[0] * sides[1] <= largest:
        large = sides[0] * sides[1] > largest
        limit, way = (largest, math.floor) if large else (smallest, math.ceil)
        ratio = math.sqrt(limit / (size_wh[0] * size_wh[1])) / 28
        sides = [max(28, 28 * way(side * ratio)) for side in size_wh]
    return sides[0], sides[1]


def write_earthdial(boxes: Boxes, size_wh: tuple[int, int]) -> str:
    """Oriented boxes as `[[x1, y1, x2, y2, angle]]`: GeoChat's numbers in brackets."""
    rows = numbers(ORIENTED, write_geochat(boxes, size_wh))
    return "".join(f"[{[int(value) for value in row]}]" for row in rows)


def read_earthdial(text: str, size_wh: tuple[int, int]) -> Boxes:
    """Oriented boxes in brackets; four numbers without an angle are a horizontal box."""
    return from_grid(numbers(BRACKETED, text), size_wh)


def write_plain(boxes: Boxes, size_wh: tuple[int, int]) -> str:
    """Boxes as `[box x1 y1 x2 y2 x3 y3 x4 y4]`: four corners in pixels, as people write regions."""
    rows = [" ".join(f"{value:.2f}" for value in row) for row in boxes.to_rows(2)]
    return " ".join(f"[box {row}]" for row in rows)


def read_plain(text: str, size_wh: tuple[int, int]) -> Boxes:
    """Boxes of eight pixel values in brackets."""
    return Boxes.from_rows([match.groups() for match in PLAIN.finditer(text)])


def _joined(box: str) -> re.Pattern[str]:
    """One box, or several with or without a delimiter between them."""
    return re.compile(rf"{box}(?:\s*(?:{DELIMITER}\s*)?{box})*")


_HORIZONTAL_SPAN = _joined(HORIZONTAL.pattern)
_EARTHDIAL_SPAN = re.compile(r"(?:\[\[ ?-?\d+(?:, ?-?\d+){3,4} ?\]\])+")

DIALECTS.add("geochat", Dialect(True, write_geochat, read_geochat, span=_joined(ORIENTED.pattern)))
DIALECTS.add("minigpt", Dialect(False, write_minigpt, read_minigpt, span=_HORIZONTAL_SPAN))
_PLAIN_SPAN = re.compile(rf"{PLAIN.pattern}(?: {PLAIN.pattern})*")
DIALECTS.add("swath", Dialect(True, write_plain, read_plain, span=_PLAIN_SPAN))
# Regions in a GeoChat question come from a drawn mask and hold no angle.
DIALECTS.add("geochat-region", Dialect(False, write_minigpt, read_minigpt, span=_HORIZONTAL_SPAN))
DIALECTS.add("earthdial", Dialect(True, write_earthdial, read_earthdial, span=_EARTHDIAL_SPAN))
# fmt: off
for _name, _row in {
    # TEOChat and EarthDial count 0 to 100, Qwen-VL (also Qwen2-VL), Qwen3-VL, InternVL and GLM-4.1V
    # 0 to 1000, CogVLM 0 to 999, Shikra and LHRS-Bot 0 to 1; Florence-2 has 1,000 bins, PaliGemma
    # 1,024, y first; Qwen2.5-VL counts pixels of the image as it is resized.
    "teochat": _upright(_FOUR, "[{:.0f}, {:.0f}, {:.0f}, {:.0f}]", 100),
    "qwen-vl": _upright(_PAIRS, "<box>({:.0f},{:.0f}),({:.0f},{:.0f})</box>", 1000),
    "qwen2.5-vl": _upright(_NAMED, '{{"bbox_2d": [{:.0f}, {:.0f}, {:.0f}, {:.0f}]}}', resized,
                           whole="[{}]"),
    "qwen3-vl": _upright(_NAMED, '{{"bbox_2d": [{:.0f}, {:.0f}, {:.0f}, {:.0f}]}}', 1000,
                         whole="[{}]"),
    "internvl": _upright(_FOUR, "[{:.0f}, {:.0f}, {:.0f}, {:.0f}]", 1000, whole="<box>[{}]</box>"),
    "glm-4v": _upright(_FOUR, "[{:.0f},{:.0f},{:.0f},{:.0f}]", 1000,
                       whole="<|begin_of_box|>[{}]<|end_of_box|>"),
    "cogvlm": _upright(_FOUR, "[[{:03.0f},{:03.0f},{:03.0f},{:03.0f}]]", 1000, 999),
    "shikra": _upright(_FOUR, "[{:.3f},{:.3f},{:.3f},{:.3f}]", 1),
    "paligemma": _upright(_PLACES, "<loc{:04.0f}><loc{:04.0f}><loc{:04.0f}><loc{:04.0f}>", 1024,
                          1023, order=(1, 0, 3, 2)),
    "florence": _upright(_BINS, "<loc_{:.0f}><loc_{:.0f}><loc_{:.0f}><loc_{:.0f}>", 1000, 999,
                         middle=0.5),
    "pixels": _upright(_FOUR, "[{:.0f}, {:.0f}, {:.0f}, {:.0f}]", lambda size_wh: size_wh),
}.items():
    DIALECTS.add(_name, _row)

IN_PIXELS = frozenset({"pixels", "qwen2.5-vl", "swath"})
"""Dialects that can only be read where the picture's size is known."""

_LOOKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (ORIENTED.pattern, ("geochat",)),
    (PLAIN.pattern, ("swath",)),
    (_PAIRS, ("qwen-vl",)),
    (_NAMED, ("qwen2.5-vl", "qwen3-vl")),
    (_PLACES, ("paligemma",)),
    (_BINS, ("florence",)),
    (rf"<box>\s*\[{_FOUR}", ("internvl",)),
    (rf"<\|begin_of_box\|>\s*\[?{_FOUR}", ("glm-4v",)),
    (rf"[\[;]{','.join([_NUMBER] * 5)}[\];]", ("earthdial",)),
)
# fmt: on
_DIGIT = re.compile(r"\d")
_FOUR_COUNTED = ("teochat", "earthdial", "internvl", "cogvlm", "pixels")
_MOST_SHARED = 2.0
"""A share of width or height may lie a little beyond 1, and never here."""


def holds_boxes(text: str) -> bool:
    """Whether a text holds what may be boxes of any dialect."""
    return bool(_looks_like(text)[0])


def recognised(texts: Sequence[str], hundredths: Sequence[str] = ()) -> str:
    """The one dialect that all boxes of some answers can be of; GeoChat's where there is none.

    Args:
        texts: the answers.
        hundredths: the true boxes of the same questions where they are texts that count 0 to 100.
            Answers in their form, none of whose numbers is larger, are counted as they are.

    Raises:
        RequestError: they may be of several, or are of different ones; numbers do not tell which.
    """
    examples = _examples(texts)
    if not examples:
        return "geochat"
    common = possible(texts)
    if len(common) == 1:
        return common[0]
    on_grid = all((numbers(BRACKETED, text)[:, :4] <= GRID).all() for text in texts)
    counted = "teochat" in common and "teochat" in possible(hundredths)
    if on_grid and counted and "shikra" not in common:
        return "teochat"
    names = dict.fromkeys(itertools.chain.from_iterable(examples))
    raise RequestError(
        f"boxes such as {' and '.join(json.dumps(text)[:60] for text in examples.values())} may be "
        f"{' or '.join(names)}, whose numbers mean different places; say which notation it is "
        f"with --dialect."
    )


def possible(texts: Iterable[str]) -> list[str]:
    """The dialects that all boxes of some texts can be of; none where there is no box."""
    looks = list(_examples(texts))
    return [name for name in looks[0] if all(name in look for look in looks)] if looks else []


def _examples(texts: Iterable[str]) -> dict[tuple[str, ...], str]:
    """A first box of each set of dialects that the boxes of some texts may be of."""
    examples: dict[tuple[str, ...], str] = {}
    for text in texts:
        names, example = _looks_like(text)
        if names:
            examples.setdefault(names, example)
    return examples


def _looks_like(text: str) -> tuple[tuple[str, ...], str]:
    """The dialects that a text's boxes may be of, none without a box, and the first box."""
    if not _DIGIT.search(text):  # most texts of a set, of which there are millions
        return (), ""
    for pattern, names in _LOOKS:
        if match := re.search(pattern, text):
            return names, match.group().strip()
    boxes = list(re.finditer(_FOUR, text))
    if not boxes:
        return (), ""
    values = [abs(float(number)) for match in boxes for number in match.groups()]
    example = boxes[0].group().strip()
    if max(values) > _MOST_SHARED:
        return _FOUR_COUNTED, example
    # A box of nothing but 0 and 1, such as [0, 0, 0, 0], is whole in any of them.
    if max(values) <= 1 and any(value % 1 for value in values):
        return ("shikra",), example
    return (*_FOUR_COUNTED, "shikra"), example


def _on_grid(box: NDArray[np.float64], size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """(5,) x1, y1, x2, y2 on the grid and angle, from centre, width, height in pixels and angle."""
    scale = GRID / np.asarray(size_wh, dtype=np.float64)
    centre, half = box[:2], box[2:4] / 2
    return np.concatenate([(centre - half) * scale, (centre + half) * scale, box[4:]])


def _whole_angles(box: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The box turned by the whole degrees below and above its own, each in (0, 90].

    0 lies outside the range and is written as 90 with width and height swapped.
    """
    x, y, width, height, angle = box
    turned = []
    for degrees in sorted({np.floor(angle), np.ceil(angle)}):
        sides = (width, height, degrees) if degrees >= 1 else (height, width, 90.0)
        turned.append(np.array([x, y, *sides]))
    return turned


def _integers_near(grid: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n, 5) rows of the integers below and above each corner, at least 1 apart, and the angle."""
    below = np.floor(grid[:4] + 1e-9).astype(np.int64)
    steps = np.array(list(itertools.product((0, 1), repeat=4)))
    corners = below + steps
    corners = corners[(corners[:, 2:] > corners[:, :2]).all(axis=1)]
    angles = np.full((len(corners), 1), round(float(grid[4])), dtype=np.int64)
    return np.concatenate([corners, angles], axis=1)


def _inside(grid: NDArray[np.float64]) -> NDArray[np.int64]:
    """(1, 5) the rounded box cut to 0 to 100, at least 1 wide and high."""
    corners = np.rint(np.clip(grid[:4], 0, GRID)).astype(np.int64)
    low = np.minimum(corners[:2], GRID - 1)
    high = np.maximum(corners[2:], low + 1)
    return np.concatenate([low, high, np.zeros(1, dtype=np.int64)])[None]


def _closest(
    near: NDArray[np.int64], exact: NDArray[np.float64], drawn: Boxes, truth: Boxes
) -> int:
    """Row of `near` whose box `drawn` overlaps `truth` most; the least rounding breaks a tie."""
    overlap = iou(drawn, Boxes(np.repeat(truth.quads, len(near), axis=0)))
    rounding = np.abs(near[:, :4] - exact[:4]).sum(axis=1)
    return int(np.lexsort((rounding, -overlap.round(9)))[0])
