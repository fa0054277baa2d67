import re
from dataclasses import replace

import pytest
from PIL import Image as Picture

from swath.annotations.image import AnnotatedImage
from swath.boxes import Boxes
from swath.errors import RequestError
from swath.export.preview import write_preview
from swath.instructions.builder import build
from swath.recipe import Instructions


@pytest.fixture
def images(tmp_path):
    """A ship at (10, 20) to (30, 50) in each of three pictures of 120 x 60 px."""
    images = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        Picture.new("RGB", (120, 60), (90, 110, 130)).save(path)
        image = AnnotatedImage(
            f"{number}", str(path), (120, 60), split="train", captions=("<b>a ship</b> & a pier",),
            boxes=Boxes.from_hbb([[10, 20, 30, 50]]), names=("ship",), listed=("ship",),
        )  # fmt: skip
        images.append(image)
    return images


def page_of(images, path, rows=60, dialect="minigpt"):
    section = Instructions(tasks=["caption", "refer", "identify"], colours=False)
    count = write_preview(build(images, section, 0), path, dialect, rows)
    return count, path.read_text("utf-8")


def test_rows_show_their_boxes_on_the_picture_and_in_the_notation_that_was_chosen(images, tmp_path):
    count, page = page_of(images, tmp_path / "page.html")
    assert count == 9 and page.count("<article>") == 9
    quad = "10.0,20.0 30.0,20.0 30.0,50.0 10.0,50.0"
    assert page.count(f'<polygon class="assistant" points="{quad}">') == 3  # refer
    assert page.count(f'<polygon class="user" points="{quad}">') == 3  # identify
    assert page.count("<code>{&lt;8&gt;&lt;33&gt;&lt;25&gt;&lt;83&gt;}</code>") == 6
    assert page.count('viewBox="0 0 120 60"') == 9


def test_words_are_escaped_and_nothing_is_asked_of_the_network(images, tmp_path):
    _, page = page_of(images, tmp_path / "page.html")
    assert "&lt;b&gt;a ship&lt;/b&gt; &amp; a pier" in page and "<b>" not in page
    addresses = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')]{0,9})""", page)
    assert addresses and {address[:5] for address in addresses} == {"data:"}
    assert "default-src 'none'" in page


def test_a_few_rows_are_of_every_task(images, tmp_path):
    count, page = page_of(images, tmp_path / "page.html", rows=3)
    assert count == 3
    assert set(re.findall("<h2>(.*)</h2>", page)) == {"caption", "refer", "identify"}


def test_a_picture_that_cannot_be_opened_is_named(images, tmp_path):
    lost = [replace(image, path=str(tmp_path / "gone.png")) for image in images]
    _, page = page_of(lost, tmp_path / "page.html")
    assert page.count("gone.png cannot be opened") == 9


def test_a_page_of_somebody_else_stays(images, tmp_path):
    path = tmp_path / "index.html"
    path.write_text("<p>mine</p>")
    with pytest.raises(RequestError, match="was not written by swath"):
        page_of(images, path)
    assert path.read_text() == "<p>mine</p>"
