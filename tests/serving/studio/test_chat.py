"""The chat as a person uses it: in a browser, with swath-nano."""

import io
import re

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.serving.studio.conftest import go_to, opened

SIZE_WH = (300, 200)
CORNERS = [(130, 84), (171, 74), (180, 110), (139, 120)]  # of a turned rectangle, near the middle


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """A black picture with a white mark of 3 x 3 pixels around each corner."""
    picture = Image.new("RGB", SIZE_WH)
    for x, y in CORNERS:
        ImageDraw.Draw(picture).rectangle((x - 1, y - 1, x + 1, y + 1), fill="white")
    path = tmp_path_factory.mktemp("pictures") / "marked.png"
    picture.save(path)
    return path


def shows(page, *paths):
    go_to(page, "Chat", "#chat-canvas .swath-canvas")
    page.fill("#chat-choices textarea", "")
    page.fill("#chat-paths textarea", "\n".join(map(str, paths)))
    page.click("#chat-show")
    page.wait_for_function("!document.querySelector('#chat-turns .model')")
    page.wait_for_function(
        "name => document.querySelector('#chat-canvas .name')?.textContent === name",
        arg=paths[0].name,
    )
    page.click('#chat-canvas [data-act="fit"]')
    page.wait_for_timeout(700)  # for the picture itself


def asks(page, question):
    before = page.locator("#chat-turns .model").count()
    page.fill("#chat-question textarea", question)
    page.click("#chat-ask")
    page.locator("#chat-turns .model").nth(before).wait_for()
    return page.locator("#chat-turns .you p").nth(before).inner_text()


def marks_on_screen(page):
    """Where the white marks lie on the screen, found in a picture of it, in the corners' order."""
    place = page.locator("#chat-canvas .swath-canvas svg").bounding_box()
    screen = Image.open(io.BytesIO(page.screenshot(clip=place))).convert("L")
    bright = np.asarray(screen) > 140
    bright[:8] = bright[-8:] = bright[:, :8] = bright[:, -8:] = False  # the frame's round corners
    rows, columns = np.nonzero(bright)
    points = np.stack([columns, rows], axis=1).astype(float)
    # each mark is one cluster: seed with the corners as the whole picture would show them
    left, top = points.min(axis=0)
    right, bottom = points.max(axis=0)
    low, high = np.min(CORNERS, axis=0), np.max(CORNERS, axis=0)
    seeds = (np.array(CORNERS) - low) / (high - low) * [right - left, bottom - top] + [left, top]
    nearest = np.linalg.norm(points[:, None] - seeds[None], axis=2).argmin(axis=1)
    centres = [points[nearest == number].mean(axis=0) + 0.5 for number in range(4)]
    return [(x + place["x"], y + place["y"]) for x, y in centres]


def corners_of(question):
    values = [float(value) for value in re.search(r"\[box ([^\]]+)\]", question)[1].split()]
    return {(x, y) for x, y in zip(values[::2], values[1::2], strict=True)}


@pytest.mark.parametrize("zooms", [0, 1])
def test_a_region_drawn_at_known_corners_comes_back_within_a_pixel(page, marked, zooms):
    shows(page, marked)
    for _ in range(zooms):
        page.click('#chat-canvas [data-act="in"]')
    places = marks_on_screen(page)
    for x, y in places:
        page.mouse.click(x, y)
    page.locator("#chat-canvas polygon.drawn").wait_for()
    question = asks(page, "[identify] what is at [box]?")
    drawn = corners_of(question)
    for x, y in CORNERS:  # a mark's middle is the middle of its pixel
        assert min(np.hypot(x + 0.5 - u, y + 0.5 - v) for u, v in drawn) <= 1
    # and what is drawn over the picture lies where it was clicked
    polygon = page.locator("#chat-canvas polygon.asked").bounding_box()
    pixels_a_picture_pixel = (
        page.locator("#chat-canvas .swath-canvas svg").bounding_box()["width"] / SIZE_WH[0]
    )
    clicked = np.array(places)
    shown = [
        polygon["x"],
        polygon["y"],
        polygon["x"] + polygon["width"],
        polygon["y"] + polygon["height"],
    ]
    if not zooms:
        expected = [*clicked.min(axis=0), *clicked.max(axis=0)]
        assert (
            np.abs(np.array(shown) - expected).max() <= pixels_a_picture_pixel + 2
        )  # line's width


def test_a_region_dragged_and_turned_stays_a_rectangle(page, marked):
    shows(page, marked)
    svg = page.locator("#chat-canvas .swath-canvas svg").bounding_box()
    scale = svg["width"] / SIZE_WH[0]

    def screen(x, y):
        return svg["x"] + x * scale, svg["y"] + y * scale

    def drag(start, end):
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move(*end, steps=4)
        page.mouse.up()

    drag(screen(60, 50), screen(120, 90))  # 60 x 40 around (90, 70)
    knob = page.locator("#chat-canvas circle.turn").bounding_box()
    start = (knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2)
    above = (screen(90, 70)[1] - start[1]) / scale
    drag(start, screen(90 + above, 70))  # from straight above to the right
    drawn = corners_of(asks(page, "[identify] what is at [box]?"))
    expected = {(110, 40), (110, 100), (70, 100), (70, 40)}  # turned by 90 degrees
    for x, y in expected:
        assert min(np.hypot(x - u, y - v) for u, v in drawn) <= 1


def test_several_turns_show_their_boxes_and_the_command(page, marked):
    shows(page, marked)
    asks(page, "[refer] where is <p>the house</p>?")
    asks(page, "what kind of scene is this?")
    assert page.locator("#chat-turns .model").count() == 2
    command = page.locator("#chat-command code").inner_text()
    assert command.startswith(f"swath ask swath-nano {marked} 'what kind of scene is this?'")
    assert "turn 2" in command
    page.locator("#chat-turns .model").first.click()
    page.wait_for_timeout(500)
    answer = page.locator("#chat-turns .model p").first.inner_text()
    boxes = page.locator("#chat-canvas polygon.answered").count()
    assert boxes == len(re.findall(r"\{<", answer))


def test_choices_come_with_their_probabilities(page, marked):
    shows(page, marked)
    page.fill("#chat-choices textarea", "a port\na field\na town")
    asks(page, "what kind of scene is this?")
    notes = page.locator("#chat-turns .model small").all_inner_texts()
    shares = [float(note.split("%")[0]) for note in notes]
    assert len(shares) == 3 and sum(shares) == pytest.approx(100, abs=0.2)
    assert shares == sorted(shares, reverse=True)


def test_script_in_names_and_words_is_shown_as_text(page, tmp_path):
    name = "${alert(1)}{{x}}<img src=x onerror=alert(2)>.png"
    Image.new("RGB", (40, 30)).save(tmp_path / name)
    shows(page, tmp_path / name)
    question = asks(page, "<script>alert(3)</script> ${alert(4)} what is it?")
    assert question == "<script>alert(3)</script> ${alert(4)} what is it?"
    page.fill("#chat-paths textarea", str(tmp_path / "<img src=x onerror=alert(5)>.png"))
    page.click("#chat-show")
    page.wait_for_function("document.querySelector('#chat-notice .swath-notice').textContent")
    assert "<img src=x onerror=alert(5)>" in page.inner_text("#chat-notice")


def test_what_is_refused_is_said_in_one_line_and_changes_nothing(page, marked):
    shows(page, marked)
    page.click("#chat-ask")
    page.wait_for_function("document.querySelector('#chat-notice .swath-notice').textContent")
    assert "the question is empty; say what you want to know" in page.inner_text("#chat-notice")
    assert page.inner_text("#chat-canvas .name") == marked.name


def test_an_uploaded_picture_is_asked_about_and_deleted_at_the_end(page, marked, studio):
    go_to(page, "Chat", "#chat-canvas .swath-canvas")
    shown = "document.querySelector('#chat-canvas .swath-canvas svg image')?.getAttribute('href')"
    before = page.evaluate(shown)  # of an earlier test
    page.set_input_files("input[type=file]", str(marked))
    page.wait_for_function(f"before => ({shown} ?? before) !== before", arg=before)
    asks(page, "what kind of scene is this?")
    assert "swath-studio-" in page.inner_text("#chat-command code")


def test_the_page_speaks_chinese_where_the_browser_does(chromium, studio):
    with opened(chromium, studio, "zh-CN") as page:
        assert page.url == f"{studio.origin}/zh/"
        go_to(page, "对话", "#chat-ask")
        assert page.inner_text("#chat-ask") == "提问"
        page.click("#language")
        page.wait_for_url(f"{studio.origin}/en/")
        go_to(page, "Chat", "#chat-ask")
        assert page.inner_text("#chat-ask") == "Ask"
