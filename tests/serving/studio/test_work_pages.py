"""Scenes and two dates from the page: work of processes of their own, read from their files."""

import signal
from pathlib import Path

import numpy as np
import pytest

from swath.files import read_json
from swath.imagery.terrain.geotiff import write_geotiff
from swath.imagery.terrain.place import lay_out
from swath.serving.studio.work_desk import WorkDesk
from tests.making import rectangle
from tests.serving.studio.conftest import Studio, go_to, opened
from tests.serving.studio.test_tune_page import until

SHIPS = "[refer] every <p>ship</p>"


@pytest.fixture(scope="module")
def dates(tmp_path_factory):
    """The same drawn place twice."""
    folder = tmp_path_factory.mktemp("dates")
    place = lay_out((192, 128), seed=4)
    return [write_geotiff(place, folder / name) for name in ("before.tif", "after.tif")]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A studio of these tests' own, to be killed."""
    running = [Studio(tmp_path_factory.mktemp("own"))]
    yield running
    running[-1].stop()


def says(page, place, words):
    page.wait_for_function(
        "([place, words]) => document.querySelector(place)?.innerText.includes(words)",
        arg=[place, words],
    )


def scans(page, path, *questions, area=""):
    go_to(page, "Scene", "#scene-questions textarea")
    page.fill("#scene-paths textarea", str(path))
    page.fill("#scene-questions textarea", "\n".join(questions))
    page.fill("#scene-area textarea, #scene-area input", str(area))
    page.click("#scene-start")


def test_a_scan_goes_on_when_the_studio_is_killed_and_shows_its_results(chromium, own, dates):
    with opened(chromium, own[0]) as page:
        scans(page, dates[0], SHIPS, "What is it?")
        folder = own[0].home / "scans" / "before"
        until((folder / "worker.json").is_file, "the scan's begin")
        own[0].stop(signal.SIGKILL)
    assert not (folder / "scan.json").exists()
    own.append(Studio(own[0].folder))
    with opened(chromium, own[-1]) as page:  # come back to: the scan that was begun last
        go_to(page, "Scene", "#scene-status .swath-facts")
        says(page, "#scene-status", "Finished.")
        record = read_json(folder / "scan.json")
        tiles = record["scenes"][0]["tiles"]
        says(page, "#scene-status", f"{tiles['planned']} of {tiles['planned']} asked, 0 skipped")
        says(page, "#scene-status", f"{record['scenes'][0]['results'][0]['count']} found")
        page.wait_for_selector("#scene-overview image[href]")
        frame = page.frame_locator("#scene-results iframe")
        frame.locator("#layers input").first.wait_for()  # its script ran, in a frame of its own
        inside = page.locator("#scene-results iframe").element_handle().content_frame()
        assert inside.evaluate("window.origin") == "null"
        names = page.locator("#scene-results a").all_inner_texts()
        assert {"map.html", "objects.gpkg", "overview.png", "scan.json"} <= set(names)
        with page.expect_download() as download:
            page.get_by_role("link", name="objects.gpkg").click()
        assert download.value.path().read_bytes() == (folder / "objects.gpkg").read_bytes()


def test_what_a_scan_refuses_is_said(chromium, own, dates, tmp_path):
    with opened(chromium, own[-1]) as page:
        scans(page, dates[0], area=tmp_path / "gone.geojson")
        says(page, "#scene-status", "Refused or failed: nothing is asked")
        scans(page, "", SHIPS)
        says(page, "#scene-notice", "Choose one scene first.")


def compares(page, before, after):
    go_to(page, "Two dates", "#dates-start")
    page.fill("#dates-paths textarea", f"{before}\n{after}")
    page.click("#dates-start")


def test_two_dates_are_compared_and_looked_at_by_a_slider(chromium, own, dates):
    with opened(chromium, own[-1]) as page:
        compares(page, *dates)
        says(page, "#dates-status", "Finished.")
        says(page, "#dates-status", "0.0 px to the right, 0.0 px down")
        row = read_json(own[-1].home / "comparisons" / "after" / "change.json")
        says(page, "#dates-status", f"Changes\n\n{row['changes']}")
        assert page.locator("#dates-changes button").count() == row["changes"]
        page.wait_for_function(
            "[...document.querySelectorAll('#dates-slider img')].every(one => one.naturalWidth)"
        )
        frame = page.locator("#dates-slider .frame").bounding_box()
        page.mouse.click(frame["x"] + frame["width"] / 4, frame["y"] + 40)
        bar = page.locator("#dates-slider i").bounding_box()
        assert abs(bar["x"] + 1 - frame["x"] - frame["width"] / 4) < 2


def test_pictures_of_two_sizes_are_refused_in_words(chromium, own, tmp_path):
    pictures = [rectangle(tmp_path / f"{side}.png", size_wh=(side, 64)) for side in (64, 80)]
    with opened(chromium, own[-1]) as page:
        compares(page, *pictures)
        says(page, "#dates-status", "Refused or failed: ")
        assert "80" in page.inner_text("#dates-status")
        compares(page, pictures[0], "")
        says(page, "#dates-notice", "Choose two pictures")


def test_an_answer_names_the_documents_that_stood_before_its_question(chromium, own, dates):
    from swath.inference.retrieval import write_index

    notes = own[-1].folder / "notes.md"
    notes.write_text("# Old pier\n\nThe old pier was built in 1931 by the harbour board.\n")
    write_index(own[-1].home / "notes", [notes])
    with opened(chromium, own[-1]) as page:
        go_to(page, "Chat", "#chat-documents input")
        page.fill("#chat-paths textarea", str(dates[0]))
        page.click("#chat-show")
        says(page, "#chat-canvas", "before.tif")
        page.click("#chat-documents input")
        page.get_by_role("option", name="notes").click()
        page.fill("#chat-question textarea", "When was the old pier built?")
        page.click("#chat-ask")
        says(page, "#chat-turns", "source: notes.md, Old pier")
        says(page, "#chat-command", f"--with {own[-1].home / 'notes'}")


def test_uploads_are_kept_under_names_of_their_own(tmp_path):
    upload = tmp_path / "temporary" / "port.tif"
    upload.parent.mkdir()
    works = WorkDesk(tmp_path / "scans", "scan")
    kept = []
    for content in (b"one", b"two"):
        upload.write_bytes(content)
        kept.append(works.kept([str(upload)]))
    assert [Path(path).read_bytes() for path in kept] == [b"one", b"two"]
    assert works.names() == [] and works.new_folder(kept[0]).name == "port"
    works.new_folder(kept[0]).mkdir()
    assert works.new_folder(kept[0]).name == "port-2"


def test_a_sheets_dates_are_those_that_were_drawn(tmp_path):
    from PIL import Image

    from swath.boxes import Boxes
    from swath.imagery.opening import open_scene
    from swath.inference.compare import Changes, Comparison
    from swath.inference.two_dates.alignment import Pair
    from swath.inference.two_dates.change_outputs import changes_in, dates_on, write_outputs

    earlier, later = [
        open_scene(rectangle(tmp_path / f"{name}.png", (8, 8, 20, 20), (90, 60), colour))
        for name, colour in (("a", (220, 30, 30)), ("b", (30, 30, 220)))
    ]
    pair = Pair(earlier, later, (0, 0, 90, 60), None)
    boxes = Boxes.from_hbb([[40, 30, 50, 40], [60, 30, 80, 50]])
    changes = Changes(boxes, ("change", "change"), (0.75, None))
    write_outputs(tmp_path / "c.gpkg", Comparison("m", pair, (), changes, (), (), None))
    rows = changes_in(tmp_path / "c.gpkg")
    assert [row["confidence"] for row in rows] == [0.75, None]
    assert rows[0]["quad_px"] == "40 30 50 30 50 40 40 40" and rows[1]["id"] == 2
    before, after = dates_on(tmp_path / "c.png")
    assert before.size == after.size == (270, 180)  # three times as large
    assert before.getpixel((42, 42)) == (220, 30, 30) and after.getpixel((42, 42)) == (30, 30, 220)
    frame = np.asarray(before)
    assert (frame[0] != 255).any() and (frame[:, 0] != 255).any()  # no margin is left
    assert isinstance(before, Image.Image)
