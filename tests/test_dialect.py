import json
import random
import time

import numpy as np
import pytest

from swath.boxes import Boxes, iou, iou_hbb
from swath.dialect import DIALECTS, recognised, resized
from swath.errors import RequestError

GEOCHAT = DIALECTS.get("geochat")
MINIGPT = DIALECTS.get("minigpt")


def random_boxes(n: int, size_wh: tuple[int, int], least: float, seed: int = 0) -> Boxes:
    """Boxes whose sides are `least` to 50 % of the image's longer side, at any angle."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0.2, 0.8, (n, 2)) * size_wh
    sides = rng.uniform(least, 0.5, (n, 2)) * max(size_wh)
    angles = rng.uniform(-180, 360, (n, 1))
    return Boxes.from_rotated(np.concatenate([centres, sides, angles], axis=1))


def corner_distance(a: Boxes, b: Boxes) -> float:
    """Largest distance from a corner of `a` to the nearest corner of `b`, pixels."""
    apart = np.linalg.norm(a.quads[0][:, None] - b.quads[0][None], axis=-1)
    return float(apart.min(axis=1).max())


# The box of GeoChat's issue 41 (FAST, 600 px): its polygon and its published text.
ISSUE_41 = Boxes(np.array([[[584, 337], [619, 313], [601, 282], [565, 304]]]))
ISSUE_41_TEXT = "{<96><48><102><55>|<59>}"


def test_geochat_turns_clockwise_on_screen():
    # 40 wide and 20 high about (50, 50), turned by 30: the right end sinks, since y points down.
    box = GEOCHAT.read("{<30><40><70><60>|<30>}", (100, 100))
    right_end = box.quads[0][[1, 2]].mean(axis=0)
    assert right_end == pytest.approx([50 + 20 * np.cos(np.pi / 6), 60])


def test_published_text_reads_as_its_published_polygon():
    # One grid step is 6 px. Turned the other way the farthest corner is 14 px off.
    assert corner_distance(GEOCHAT.read(ISSUE_41_TEXT, (600, 600)), ISSUE_41) < 4
    mirrored = ISSUE_41_TEXT.replace("|<59>", "|<-59>")
    assert corner_distance(GEOCHAT.read(mirrored, (600, 600)), ISSUE_41) > 12


def test_published_polygon_is_written_as_its_published_text_but_for_rounding_of_the_angle():
    # The polygon is no exact rectangle: its edges lie at 55 to 61 degrees.
    assert GEOCHAT.write(ISSUE_41, (600, 600)) == "{<96><48><102><55>|<58>}"


def test_elongated_box_read_backwards_misses_itself():
    box = Boxes.from_rotated([[300, 300, 300, 60, 40]])
    text = GEOCHAT.write(box, (600, 600))
    assert text == "{<25><45><75><55>|<40>}"
    assert iou(GEOCHAT.read(text, (600, 600)), box)[0] == pytest.approx(1)
    assert iou(GEOCHAT.read(text.replace("40>}", "-40>}"), (600, 600)), box)[0] < 0.3


@pytest.mark.parametrize("size_wh", [(600, 600), (1000, 400), (300, 900), (64, 64), (4096, 4096)])
def test_oriented_boxes_come_back(size_wh):
    boxes = random_boxes(150, size_wh, least=0.12)
    text = GEOCHAT.write(boxes, size_wh)
    back = GEOCHAT.read(text, size_wh)
    assert len(back) == len(boxes)
    assert iou(back, boxes).min() > 0.8
    angles = [int(part.split("|<")[1].rstrip(">}")) for part in text.split("<delim>")]
    assert all(0 < angle <= 90 for angle in angles)


def test_written_integers_overlap_at_least_as_much_as_plain_rounding():
    size_wh = (600, 600)
    boxes = random_boxes(100, size_wh, least=0.03)
    rows = boxes.rotated
    corners = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2], 1)
    plain = "".join(
        "{{<{:.0f}><{:.0f}><{:.0f}><{:.0f}>|<{:.0f}>}}".format(*np.rint(corner / 6), angle)
        for corner, angle in zip(corners, rows[:, 4], strict=True)
    )
    ours = iou(GEOCHAT.read(GEOCHAT.write(boxes, size_wh), size_wh), boxes)
    assert (ours >= iou(GEOCHAT.read(plain, size_wh), boxes) - 1e-9).all()


def test_rotation_happens_in_pixels_when_the_image_is_not_square():
    # 400 x 100 px. Upright: 100 x 20 px about (200, 50); turned by 90 it is 20 x 100 px.
    box = GEOCHAT.read("{<37.5><40><62.5><60>|<90>}", (400, 100))
    assert box.hbb[0] == pytest.approx([190, 0, 210, 100])


def test_horizontal_box_is_written_at_90_with_its_sides_swapped():
    # 200 x 100 about (300, 300): upright 100 x 200, turned by a right angle.
    box = Boxes.from_hbb([200, 250, 400, 350])
    text = GEOCHAT.write(box, (1000, 1000))
    assert text == "{<25><20><35><40>|<90>}"
    assert GEOCHAT.read(text, (1000, 1000)).hbb[0] == pytest.approx([200, 250, 400, 350])


def test_angle_next_to_zero_is_written_as_90_when_that_is_nearer():
    box = Boxes.from_rotated([[500, 500, 600, 100, 0.2]])
    assert GEOCHAT.write(box, (1000, 1000)) == "{<45><20><55><80>|<90>}"


def test_box_smaller_than_a_grid_step_keeps_an_area():
    assert (
        GEOCHAT.read(GEOCHAT.write(Boxes.from_hbb([5, 5, 6, 6]), (600, 600)), (600, 600)).areas > 0
    )
    assert MINIGPT.write(Boxes.from_hbb([5, 5, 6, 6]), (600, 600)) == "{<0><0><1><1>}"


def test_box_without_area_is_still_written():
    assert GEOCHAT.write(Boxes.from_hbb([5, 5, 5, 5]), (600, 600)) == "{<0><0><1><1>|<90>}"


def test_several_boxes_are_joined_and_concatenation_is_read():
    two = Boxes.from_hbb([[10, 10, 20, 20], [50, 50, 70, 70]])
    text = GEOCHAT.write(two, (100, 100))
    assert text == "{<10><10><20><20>|<90>}<delim>{<50><50><70><70>|<90>}"
    for between in ("<delim>", "", " and ", "\n"):
        back = GEOCHAT.read(text.replace("<delim>", between), (100, 100))
        assert np.allclose(back.hbb, two.hbb)


def test_released_oddities_are_read():
    def hbb(text: str) -> list[float]:
        return GEOCHAT.read(text, (200, 200)).hbb[0].round(6).tolist()

    upright = [20.0, 40.0, 60.0, 100.0]
    assert hbb("{<10><20><30><50>}") == upright  # no angle
    assert hbb("{<30><50><10><20>|<360>}") == upright  # swapped corners, a full turn
    assert hbb("{<10><20><30><50>|<-180>}") == upright
    first_corner = GEOCHAT.read("{<30><20><10><50>}", (200, 200)).quads[0, 0]
    assert first_corner.tolist() == [20, 40]
    assert hbb("{<-5><90><5><110>|<0>}") == [-10.0, 180.0, 10.0, 220.0]
    assert hbb("<p>ship</p> { <10> < 20 ><30><50> | <540> } .") == upright
    turned = iou(
        GEOCHAT.read("{<10><20><30><50>|<420>}", (200, 200)),
        GEOCHAT.read("{<10><20><30><50>|<60>}", (200, 200)),
    )
    assert turned[0] == pytest.approx(1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no boxes here",
        "{<1><2><3>}",
        "{<1><2><3><4>|}",
        "{<1><2><3><4>|<5>",
        "{<a><b><c><d>|<e>}",
        "{<1><2><3><4>|<nan>}",
        "{<1e999><2><3><4>|<5>}",
        "{<999999999><2><3><4>|<5>}",
        "{<\u0661><2><3><4>|<5>}",
        "[1, 2, 3, 4, 5]",
    ],
)
def test_text_without_a_readable_box_gives_no_box(text):
    assert len(GEOCHAT.read(text, (100, 100))) == 0
    assert len(MINIGPT.read(text, (100, 100))) == 0


def test_reading_never_raises():
    rng = random.Random(0)
    pieces = [
        "{",
        "}",
        "<",
        ">",
        "|",
        "-",
        ".",
        "0",
        "7",
        "100",
        "99999",
        "<delim>",
        " ",
        "\x00",
        "é",
    ]
    pieces += ["{<10><20><30><40>|<50>}", "{<10><20><30><40>}", "<1>", "{<0><0>"]
    for _ in range(3000):
        text = "".join(rng.choices(pieces, k=rng.randrange(30)))
        for _, dialect in DIALECTS.items():
            boxes = dialect.read(text, (123, 45))
            assert np.isfinite(boxes.quads).all()


def test_minigpt_writes_four_numbers_and_reads_them():
    box = Boxes.from_hbb([60, 30, 300, 240])
    assert MINIGPT.write(box, (600, 300)) == "{<10><10><50><80>}"
    assert MINIGPT.read("at {<50><80><10><10>}", (600, 300)).hbb[0].tolist() == [60, 30, 300, 240]


def test_minigpt_keeps_the_horizontal_box_of_an_oriented_one():
    square = Boxes.from_rotated([[50, 50, 20 * 2**0.5, 20 * 2**0.5, 45]])
    assert MINIGPT.write(square, (100, 100)) == "{<30><30><70><70>}"
    assert not MINIGPT.oriented and GEOCHAT.oriented


def test_minigpt_cuts_at_the_border():
    over = Boxes.from_hbb([[-50, -50, 300, 700], [599, 599, 640, 640]])
    assert MINIGPT.write(over, (600, 600)) == "{<0><0><50><100>}<delim>{<99><99><100><100>}"


def test_minigpt_does_not_read_an_oriented_box_as_a_horizontal_one():
    assert len(MINIGPT.read("{<10><20><30><40>|<50>}", (100, 100))) == 0


@pytest.mark.parametrize("size_wh", [(600, 600), (1000, 400)])
def test_horizontal_boxes_come_back(size_wh):
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 0.5, (200, 2))
    high = low + rng.uniform(0.12, 0.5, (200, 2))
    boxes = Boxes.from_hbb(np.concatenate([low * size_wh, high * size_wh], axis=1))
    assert iou_hbb(MINIGPT.read(MINIGPT.write(boxes, size_wh), size_wh), boxes).min() > 0.8


def test_no_box_is_no_text():
    for _, dialect in DIALECTS.items():
        assert dialect.write(Boxes.empty(), (100, 100)) == ""


def test_regions_in_geochat_questions_are_four_numbers():
    region = DIALECTS.get("geochat-region")
    assert region.write(Boxes.from_hbb([10, 20, 30, 40]), (100, 100)) == "{<10><20><30><40>}"


def test_reference_overlaps_are_reproduced(vectors_folder):
    cases = json.loads((vectors_folder / "iou_rotated.json").read_text())["cases"]
    checked = 0
    for case in cases:
        # "norm100" numbers are scaled to the image first; others are pixels, so a grid step is one.
        on_grid = case["space"] == "norm100"
        want = case["expected"]["cw_scaled_to_image_first" if on_grid else "cw"]
        want = want if on_grid else want["iou"]
        size_wh = tuple(case["image_size"]) if on_grid else (100, 100)
        texts = [
            "{" + "".join(f"<{number}>" for number in case[side]) + f"|<{case[f'angle_{side}']}>}}"
            for side in ("a", "b")
        ]
        a, b = (GEOCHAT.read(text, size_wh) for text in texts)
        assert len(a) == len(b) == 1, texts
        assert iou(a, b)[0] == pytest.approx(want or 0.0, abs=1e-7), case["id"]
        checked += 1
    assert checked >= 50


def test_reference_answers_are_read_alike(vectors_folder):
    cases = json.loads((vectors_folder / "grounding_multi_obb.json").read_text())["cases"]
    for case in cases:
        text = "".join("{{<{}><{}><{}><{}>|<{}>}}".format(*row) for row in case["parsed"])
        got, want = GEOCHAT.read(case["answer"], (100, 100)), GEOCHAT.read(text, (100, 100))
        assert len(got) == len(case["parsed"]), case["id"]
        assert np.allclose(got.quads, want.quads)


@pytest.mark.parametrize(
    ("name", "text", "look"),
    [
        # All say: the right lower quarter of a picture of 800 x 400 px.
        ("earthdial", "[[50, 50, 100, 100, 0]]", "earthdial"),
        ("teochat", "[50, 50, 100, 100]", None),
        ("qwen-vl", "<ref>ship</ref><box>(500,500),(1000,1000)</box>", "qwen-vl"),
        ("qwen-vl", "<|box_start|>(500, 500), (1000, 1000)<|box_end|>", "qwen-vl"),
        ("qwen3-vl", '```json\n[{"bbox_2d": [500, 500, 1000, 1000], "label": "ship"}]\n```', None),
        # 800 x 400 px is seen as 812 x 392.
        ("qwen2.5-vl", '[{"bbox_2d": [406, 196, 812, 392], "label": "ship"}]', None),
        ("internvl", "<ref>ship</ref><box>[[500, 500, 1000, 1000]]</box>", "internvl"),
        ("cogvlm", "[[500,500,1000,1000]]", None),
        ("shikra", "A ship[0.5,0.500,1.0,1.000].", "shikra"),
        ("paligemma", "<loc0512><loc0512><loc1024><loc1024> ship", "paligemma"),
        ("florence", "ship<loc_500><loc_500><loc_999><loc_999>", "florence"),
        ("pixels", "[400, 200, 800, 400]", None),
        ("geochat", "{<50><50><100><100>|<0>}", "geochat"),
        ("swath", "[box 400.00 200.00 800.00 200.00 800.00 400.00 400.00 400.00]", "swath"),
    ],
)
def test_families_write_the_same_box_each_in_its_own_way(name, text, look):
    near = 0.5 if name == "florence" else 1e-6  # its numbers are the middles of bins of 0.8 px
    (box,) = DIALECTS.get(name).read(text, (800, 400)).hbb
    assert box == pytest.approx([400, 200, 800, 400], abs=near)
    if look:
        assert recognised(["no box here", text]) == look
    else:
        with pytest.raises(RequestError, match=rf"may be .*{name}.*--dialect"):
            recognised([text])


def test_paligemma_counts_down_first_and_cogvlm_parts_boxes_by_semicolons():
    (box,) = DIALECTS.get("paligemma").read("<loc0000><loc0256><loc0512><loc1023>", (1024, 512)).hbb
    assert box.tolist() == [256, 0, 1023, 256]
    assert len(DIALECTS.get("cogvlm").read("[[010,020,030,040;500,500,600,600]]", (99, 99))) == 2


@pytest.mark.parametrize("name", [name for name, _ in DIALECTS.items()])
def test_what_a_notation_writes_it_reads_back(name):
    boxes = Boxes.from_hbb([[100, 50, 400, 250], [420, 300, 790, 390]])
    row = DIALECTS.get(name)
    back = row.read(row.write(boxes, (800, 400)), (800, 400))
    assert len(back) == 2 and iou(back, boxes).min() > 0.9
    assert row.write(Boxes.empty(), (800, 400)) == ""
    assert len(row.read("1, 2 and [nan, 3, 4, 5] or (6, 7)", (800, 400))) == 0


def test_a_file_is_of_the_one_notation_that_all_its_boxes_can_be_of():
    assert recognised(["[10, 20, 30, 40]", "[10, 20, 30, 40, 5]"]) == "earthdial"
    assert recognised(["nothing"]) == "geochat"
    # One box of zeros makes no shares of boxes that count to 100, nor do they make it none of them.
    assert recognised(["[0.1, 0.2, 0.3, 0.4]", "[0, 0, 0, 0]", "[0.5, 1e-5, 1.02, .9]"]) == "shikra"
    for shared in ("[0, 0, 0, 0]", "[0, 0, 1, 1]", "[0.1, 0.2, 0.3, 0.4]"):
        with pytest.raises(RequestError, match=r"teochat or .*--dialect"):
            recognised(["[10, 20, 30, 40]", shared])
    with pytest.raises(RequestError, match=r"geochat or qwen-vl.*--dialect"):
        recognised(["{<1><2><3><4>}", "<box>(1,2),(3,4)</box>"])


@pytest.mark.parametrize(
    "text", ["[10.0, 20.000000000000004, 3e1, 40.333333333333336]", "[1.00e+01, 20., 30, 40]",
             "[1000e-2, 20.0, 30.0, 4E1]"],
)  # fmt: skip
def test_numbers_are_read_as_programs_print_them(text):
    (box,) = DIALECTS.get("teochat").read(text, (100, 100)).hbb
    assert box == pytest.approx([10, 20, 30, 40], abs=0.34)
    (box,) = GEOCHAT.read("{<" + text[1:-1].replace(", ", "><") + ">|<0>}", (100, 100)).hbb
    assert box == pytest.approx([10, 20, 30, 40], abs=0.34)


def test_the_numbers_of_a_region_stand_apart():
    region = DIALECTS.get("swath")
    assert len(region.read("[box 10 20 30 40]", (100, 100))) == 0  # four numbers, eight digits
    start = time.perf_counter()
    assert len(region.read("[box" + ".1111111111" * 8 + "x", (100, 100))) == 0
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("name", [name for name, _ in DIALECTS.items()])
def test_blanks_behind_a_box_cost_no_time(name):
    row = DIALECTS.get(name)
    boxes = Boxes.from_hbb([[10, 20, 30, 40], [50, 60, 70, 80]])
    text = row.write(boxes, (100, 100))
    start = time.perf_counter()
    assert row.span.match(text + " " * 100_000 + "x").end() == len(text)
    assert len(row.read(text + " " * 100_000, (100, 100))) == 2
    assert time.perf_counter() - start < 5


def test_shares_keep_all_their_decimals():
    (box,) = DIALECTS.get("shikra").read("[.1, 5e-05, 0.3, 0.4033333333333333]", (100, 100)).hbb
    assert box.tolist() == [10, 0.005, 30, 40.33333333333333]


def test_qwen_sees_multiples_of_28_within_its_limits():
    assert resized((1920, 1080)) == (1932, 1092)
    assert resized((20, 20)) == (56, 56)  # 3,136 pixels at least
    assert resized((8000, 8000)) == (3584, 3584)  # 12,845,056 at most
