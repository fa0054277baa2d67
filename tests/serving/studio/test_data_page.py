"""A folder looked at, built and judged on the page."""

import json
import time

import numpy as np
import pytest
from PIL import Image

from swath.building import Building
from swath.instructions.review import FILE
from swath.recipes import load_recipe
from tests.serving.studio.conftest import WAIT_S, go_to

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """DOTA's layout: a box wholly outside, a copy, and a class that is a script."""
    root = tmp_path_factory.mktemp("source") / "harbour 1"
    (root / "labelTxt").mkdir(parents=True)
    noise = np.random.default_rng(0)  # no two pictures look alike
    (root / "images").mkdir()
    for number in range(8):
        x = 4 + 5 * number
        ground = noise.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(ground).resize((64, 48)).save(root / "images" / f"p{number}.png")
        rows = [f"{x} 12 {x + 16} 12 {x + 16} 24 {x} 24 ship 0"]
        if number == 3:
            rows += [
                "70 10 90 10 90 20 70 20 ship 0",
                f"2 2 6 2 6 6 2 6 {HOSTILE.replace(' ', '_')} 0",
            ]
        (root / "labelTxt" / f"p{number}.txt").write_text("\n".join(rows) + "\n")
    (root / "LICENSE").write_text("Creative Commons Attribution 4.0 International")
    return root


def until(page, selector, words):
    page.wait_for_function(
        "([selector, words]) => document.querySelector(selector)?.innerText.includes(words)",
        arg=[selector, words],
    )


def test_a_folder_is_recognised_linted_built_and_judged(page, folder, studio):
    go_to(page, "Data", "#data-folder textarea")
    page.fill("#data-folder textarea", str(folder))
    page.click("#data-read")
    until(page, "#data-about", "CC-BY-4.0")
    about = page.inner_text("#data-about")
    assert "dota (images/ beside labelTxt/" in about and "box outside 1" in about
    assert "swath check quickstart-own" in page.inner_text("#data-command")
    page.click("#data-kind input")
    page.get_by_role("option", name="box outside").click()
    until(page, "#data-findings", "images/p3")
    page.locator("#data-findings .model").first.click()
    page.wait_for_selector("#data-canvas polygon.true")
    assert page.locator("#data-canvas polygon.true").count() == 3

    page.click("#data-build")
    home = studio.home / "harbour 1"
    end = time.monotonic() + WAIT_S
    while not (home / "set" / "card.json").is_file():
        assert time.monotonic() < end, "the set was not built"
        time.sleep(0.3)
    page.reload()
    go_to(page, "Data", "#review-set input")
    page.wait_for_function("document.querySelector('#review-set input').value === 'harbour 1'")
    page.click("#review-task input")
    page.get_by_role("option", name="refer").last.click()
    until(page, "#review-about", "refer")
    page.wait_for_selector("#review-canvas polygon.drawn")
    before = page.input_value("#review-answer textarea")

    # the lower right corner of the box is dragged by 8 pixels to the right
    svg = page.locator("#review-canvas .swath-canvas svg").bounding_box()
    scale = svg["width"] / 64
    values = [float(value) for value in before.removeprefix("[box ").removesuffix("]").split()]
    corner = (svg["x"] + values[4] * scale, svg["y"] + values[5] * scale)
    page.mouse.click(corner[0] - 4 * scale, corner[1] - 4 * scale)  # choose it
    page.mouse.move(*corner)
    page.mouse.down()
    page.mouse.move(corner[0] + 8 * scale, corner[1], steps=4)
    page.mouse.up()
    page.wait_for_function(
        "text => document.querySelector('#review-answer textarea').value !== text", arg=before
    )
    page.wait_for_timeout(1500)  # the last of several moves
    page.click("#review-correct")
    until(page, "#review-about", "1 judged")
    rows = [json.loads(line) for line in (home / FILE).read_text().splitlines()]
    corrected = rows[1]["parts"][0]["boxes"][0]
    wider = np.add(values, [0, 0, 8, 0, 8, 0, 0, 0])
    assert np.abs(np.array(corrected) - wider).max() <= 1

    page.click("#review-reject")
    until(page, "#review-about", "2 judged")
    recipe = load_recipe("quickstart-own", ["name='harbour 1'", f"annotations.source='{folder}'"])
    built = Building(recipe, home).build()
    assert built.card["review"] | {"digest": ""} == {"corrected": 1, "rejected": 1, "digest": ""}
    (row,) = [row for row in built.conversations if row.id == rows[1]["key"]]
    assert np.abs(np.array(row.truth.to_row()["boxes"][0]) - wider).max() <= 1


def test_what_is_no_set_is_refused_in_one_line(page, tmp_path):
    go_to(page, "Data", "#data-folder textarea")
    (tmp_path / "empty").mkdir()
    page.fill("#data-folder textarea", str(tmp_path / "empty"))
    page.click("#data-read")
    until(page, "#data-notice", "holds no images, found an empty folder")
