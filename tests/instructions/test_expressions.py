"""Referring expressions are resolved here from their words alone, by rules written apart."""

import re

import numpy as np
import pytest
from PIL import Image as Picture

from swath.annotations.image import AnnotatedImage
from swath.boxes import Boxes, iou
from swath.instructions.attributes import Looks
from swath.instructions.builder import build
from swath.instructions.expressions import could_be_called, singling_out, together
from swath.instructions.language import ENGLISH, Look
from swath.instructions.language_chinese import CHINESE
from swath.recipe import Instructions

PAINT = {
    "red": (200, 40, 40), "white": (245, 245, 245), "green": (60, 150, 60), "blue": (50, 80, 190),
    "yellow": (225, 200, 60), "black": (25, 25, 25),
}  # fmt: skip
CLASSES = ("car", "truck", "vehicle", "storage_tank", "bridge", "ship")
SIDE = 240


def drawn(folder, number, rng):
    """A picture of up to 14 flat boxes that do not touch, and the colour of each."""
    pixels = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
    boxes, names, paints = [], [], []
    for _ in range(int(rng.integers(2, 15))):
        width, height = rng.integers(8, 60, 2)
        x, y = rng.integers(0, SIDE - width), rng.integers(0, SIDE - height)
        box = np.array([x, y, x + width, y + height])
        apart = [box[2] < b[0] or b[2] < box[0] or box[3] < b[1] or b[3] < box[1] for b in boxes]
        if not all(apart):
            continue
        paint = str(rng.choice(list(PAINT)))
        pixels[y : y + height, x : x + width] = PAINT[paint]
        boxes.append(box)
        names.append(str(rng.choice(CLASSES)))
        paints.append(paint)
    path = folder / f"{number}.png"
    Picture.fromarray(pixels).save(path)
    image = AnnotatedImage(
        f"{number}", str(path), (SIDE, SIDE), boxes=Boxes.from_hbb(np.array(boxes)),
        names=tuple(names), split="train", listed=CLASSES,
    )  # fmt: skip
    return image, paints


PHRASE = re.compile(
    rf"the (?P<size>smallest|largest|small|large)? ?(?P<paint>{'|'.join((*PAINT, 'gray'))})? ?"
    r"(?P<noun>car|truck|vehicle|storage tank|bridge|ship)"
    r"(?: lying (?P<lie>\w+))?"
    r"(?: (?P<place>at the (?:top|bottom)(?: left| right)?|on the (?:left|right)|in the center))?"
    r"(?: (?P<how>inside an?|next to an?|nearest to the|to the left of the|to the right of the|"
    r"above the|below the) (?P<other>car|truck|vehicle|storage tank|bridge|ship))?"
)
KINDS = {"vehicle": {"car", "truck", "vehicle"}, "car": {"car", "vehicle"}}


def resolve(words, image, paints):
    """Rows of the boxes that a reader of the words would point at; the likeliest first."""
    match = PHRASE.fullmatch(words)
    assert match, words
    boxes = image.boxes.hbb
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = boxes[:, 2:] - boxes[:, :2]
    names = [name.replace("_", " ") for name in image.names]
    fits = [n in KINDS.get(match["noun"], {match["noun"]}) for n in names]
    rows = [row for row in range(len(names)) if fits[row]]
    if match["paint"]:
        rows = [row for row in rows if paints[row] == match["paint"]]
    if place := match["place"]:
        thirds = np.clip(middles / (SIDE / 3), 0, 2.999).astype(int)
        column = 0 if "left" in place else 2 if "right" in place else None
        line = 0 if "top" in place else 2 if "bottom" in place else None
        if "center" in place:
            column = line = 1
        rows = [r for r in rows if column is None or thirds[r, 0] == column]
        rows = [r for r in rows if line is None or thirds[r, 1] == line]
    if lie := match["lie"]:
        wide = lie == "horizontally"
        rows = [r for r in rows if (sides[r, 0] > sides[r, 1]) == wide]
        rows = [r for r in rows if sides[r].max() > 1.5 * sides[r].min()]
    if how := match["how"]:
        others = KINDS.get(match["other"], {match["other"]})
        marks = [row for row, name in enumerate(names) if name in others]
        apart = np.linalg.norm(middles[:, None] - middles, axis=2)
        if how.startswith(("next to", "inside")):
            gap = np.maximum(boxes[:, None, :2] - boxes[:, 2:], boxes[:, :2] - boxes[:, None, 2:])
            gap = np.linalg.norm(np.clip(gap, 0, None), axis=2)
            near = gap <= np.minimum(sides.mean(axis=1)[:, None], sides.mean(axis=1))
            rows = [r for r in rows if any(near[r, mark] for mark in marks if mark != r)]
        else:
            assert len(marks) == 1, words  # "the truck" is one
            (mark,) = marks
            rows = [r for r in rows if r != mark]
            if how == "nearest to the":
                rows = [min(rows, key=lambda r: apart[r, mark])]
            else:
                axis = 0 if "left" in how or "right" in how else 1
                sign = -1 if "left" in how or "above" in how else 1
                rows = [r for r in rows if sign * (middles[r, axis] - middles[mark, axis]) > 0]
    areas = sides.prod(axis=1)
    if match["size"] in ("small", "smallest"):
        rows = [min(rows, key=lambda r: areas[r])]
    elif match["size"]:
        rows = [max(rows, key=lambda r: areas[r])]
    return rows


def test_two_thousand_expressions_lead_an_independent_reader_to_their_object(tmp_path):
    rng = np.random.default_rng(7)
    pairs = [drawn(tmp_path, number, rng) for number in range(700)]
    section = Instructions(tasks=["refer"], phrasing="geochat", boxes_per_image=12)
    built = build([image for image, _ in pairs], section, seed=0)
    images = {image.id: (image, paints) for image, paints in pairs}
    right, words_used, wrong = 0, set(), []
    rows = built.conversations[:2000]
    assert len(rows) == 2000
    for row in rows:
        image, paints = images[row.scene]
        words = re.sub(r"\s*</?p>\s*", "|", row.text("user")).split("|")[1]
        resolved = resolve(words, image, paints)
        hit = len(resolved) == 1 and iou(image.boxes[resolved], row.truth.boxes)[0] > 0.99
        right += hit
        wrong += [] if hit else [(words, row.id)]
        words_used.update(words.split())
    assert right >= 0.99 * len(rows), wrong[:10]
    # Every kind of expression was among them.
    needed = "nearest largest smallest small large above left right next red center lying"
    assert words_used >= set(needed.split())


def plain(folder, boxes, names, colour=(128, 128, 128), size_wh=(90, 90)):
    path = folder / "plain.png"
    Picture.new("RGB", size_wh, colour).save(path)
    return AnnotatedImage(
        "p", str(path), size_wh, boxes=Boxes.from_hbb(np.array(boxes)), names=names
    )


def said(image, **options):
    looks = singling_out(Looks(**options).objects(image))
    return [[ENGLISH.the(look) for look in ways] for ways in looks]


def test_the_shortest_words_come_first(tmp_path):
    image = plain(
        tmp_path, [[2, 2, 9, 9], [70, 70, 80, 80], [72, 20, 79, 27]], ("car", "car", "bus")
    )
    first, second, bus = said(image, colours=False)
    assert first[0] == "the car at the top left" and second[0] == "the car at the bottom right"
    assert bus[0] == "the bus"


def test_identical_neighbours_are_told_apart_by_nothing(tmp_path):
    boxes = [[40, 40, 44, 44], [46, 40, 50, 44], [43, 46, 47, 50]]
    assert said(plain(tmp_path, boxes, ("car",) * 3)) == [[], [], []]


def test_a_more_general_word_could_mean_another_object():
    assert could_be_called("vehicle", "small vehicle") and could_be_called("vehicle", "truck")
    assert could_be_called("court", "tennis court") and not could_be_called("tennis court", "court")
    assert could_be_called("ship", "boat") and not could_be_called("ship", "plane")


def test_a_vehicle_beside_a_truck_is_not_the_vehicle(tmp_path):
    image = plain(tmp_path, [[40, 40, 44, 44], [46, 40, 50, 44]], ("vehicle", "truck"))
    vehicle, truck = said(image)
    assert "the vehicle" not in vehicle and truck[0] == "the truck"


def test_near_a_line_of_the_grid_another_place_is_possible(tmp_path):
    # The second is 2 px right of the line at 30: "at the top left" could be said of it too.
    image = plain(tmp_path, [[10, 10, 14, 14], [30, 10, 34, 14]], ("car", "car"))
    assert said(image) == [[], []]
    apart = plain(tmp_path, [[10, 10, 14, 14], [70, 70, 74, 74]], ("car", "car"))
    assert [ways[0] for ways in said(apart)] == [
        "the car at the top left", "the car at the bottom right",
    ]  # fmt: skip


def test_nearest_is_said_only_of_what_is_plainly_nearest(tmp_path):
    near = plain(
        tmp_path, [[40, 40, 46, 46], [48, 44, 54, 50], [60, 56, 66, 62]], ("bus", "car", "car")
    )
    assert "the car nearest to the bus" in said(near)[1]
    close = plain(
        tmp_path, [[40, 40, 46, 46], [49, 40, 55, 46], [31, 40, 37, 46]], ("bus", "car", "car")
    )
    assert not any("nearest" in words for ways in said(close) for words in ways)
    assert "the car to the right of the bus" in said(close)[1]


def test_hundreds_of_objects_are_a_crowd_and_end_in_time(tmp_path):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 900, (900, 2))
    image = plain(
        tmp_path, np.c_[corners, corners + 8], ("car",) * 899 + ("bus",), size_wh=(920, 920)
    )
    ways = said(image)
    assert ways[-1] == ["the bus"] and not any(ways[:-1])


def test_what_the_picture_does_not_show_is_compared_with_nothing(tmp_path):
    image = plain(tmp_path, [[40, 40, 50, 50], [200, 40, 240, 80]], ("car", "car"))
    assert said(image) == [[*said(image)[0]], []] and said(image)[0][0] == "the car"


def test_corners_that_cross_tell_no_direction(tmp_path):
    from dataclasses import replace

    image = plain(tmp_path, [[5, 5, 65, 15]], ("ship",))
    assert Looks().of(image)[0].direction == "horizontal"
    crossed = Boxes(np.array([[[26, 41], [28, 21], [23, 28], [80, 49]]], dtype=float))
    assert Looks().of(replace(image, boxes=crossed))[0].direction is None


def test_no_object_gives_no_expression(tmp_path):
    assert singling_out(Looks().objects(AnnotatedImage("n", "/n.png", (9, 9)))) == []


def test_rows_and_groups_are_singled_out_together(tmp_path):
    row = [[10 + 12 * n, 70, 18 + 12 * n, 78] for n in range(5)]
    objects = Looks().objects(plain(tmp_path, [*row, [10, 5, 18, 13]], ("plane",) * 6))
    ((look, rows),) = together(objects)
    assert (look, rows) == (Look("plane", row=True), [0, 1, 2, 3, 4])
    assert ENGLISH.together(look, 5) == "the row of 5 planes"
    assert CHINESE.together(Look("飞机", row=True), 5) == "排成一行的5架飞机"
    heap = [[5, 5, 10, 10], [12, 6, 17, 11], [6, 13, 11, 18], [15, 15, 20, 20]]
    objects = Looks().objects(plain(tmp_path, [*heap, [70, 70, 75, 75]], ("car",) * 5))
    ((look, rows),) = together(objects)
    assert ENGLISH.together(look, len(rows)) == "the group of 4 cars at the top left"
    near = Looks().objects(plain(tmp_path, [*heap, [29, 5, 34, 10]], ("car",) * 5))
    assert together(near) == []  # the fifth could be at the top left as well


@pytest.mark.parametrize(
    ("look", "words", "chinese"),
    [
        (
            Look("ship", relation=("nearest to", "pier")),
            "the ship nearest to the pier",
            "离pier最近的ship",
        ),
        (Look("ship", relation=("above", "pier")), "the ship above the pier", "pier上方的ship"),
        (Look("ship", direction="vertical"), "the ship lying vertically", "纵向的ship"),
        (
            Look("ship", "white", length_m=38.4),
            "the white ship, about 38 m long",
            "白色ship（长约38米）",
        ),
    ],
)
def test_looks_are_put_in_words(look, words, chinese):
    assert ENGLISH.the(look) == words
    assert CHINESE.the(look) == chinese


def test_lengths_are_told_where_metres_are_known(tmp_path):
    from dataclasses import replace

    image = plain(tmp_path, [[5, 5, 65, 15], [30, 40, 50, 60]], ("ship", "tank"))
    assert [look.length_m for look in Looks().of(image)] == [None, None]
    # An upright box may hold what lies across it: only the long one tells its length.
    measured = Looks().of(replace(image, gsd_m=0.5))
    assert [look.length_m for look in measured] == [30.0, None]
    assert ENGLISH.one(measured[0]).endswith("about 30 m long")
