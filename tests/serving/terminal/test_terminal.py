"""`swath chat` as a person uses it: in a terminal, with swath-nano or a server."""

import json

import numpy as np
import pytest
import rasterio
from PIL import Image

import swath
from swath.cli.chat import Screen
from swath.serving.terminal.chat import Answers
from tests.making import rectangle

REFER = "[refer] where is <p>the storage tank</p>?"
UP, LEFT, BACKSPACE, CTRL_C = "\x1b[A", "\x1b[D", "\x7f", "\x03"


@pytest.fixture
def picture(tmp_path):
    return rectangle(tmp_path / "field.png", (30, 40, 70, 80), (112, 112))


def test_turns_go_on_about_the_picture_and_are_saved_and_drawn(terminal, picture, tmp_path):
    chat = terminal("swath-nano")
    assert chat.says("/image field.png") == "field.png: 112 x 112 pixels"
    first = chat.says(REFER).splitlines()
    second = chat.says("what kind of scene is this?")
    assert chat.says("/save talk.json") == "talk.json: 2 questions and their answers"

    nano = swath.load("swath-nano")
    asked = nano.ask(picture, REFER)
    again = nano.ask([], "what kind of scene is this?", before=asked.turns)
    assert (first[0], second.splitlines()[0]) == (asked.text, again.text)
    (talk,) = json.loads((tmp_path / "talk.json").read_text())["talks"]
    rows = talk["exchanges"]
    assert [row["answer"] for row in rows] == [asked.text, again.text]
    assert rows[0]["boxes"] == asked.boxes.to_rows(2) and talk["pictures"] == [picture]
    x, y = asked.boxes.quads[0][0]
    assert first[1].startswith(f"box 1, pixels: ({x:.1f}, {y:.1f})")

    chat.says(REFER)
    assert chat.says("/boxes out.png") == "out.png: 512 x 512 pixels"
    drawn = np.asarray(Image.open(tmp_path / "out.png"))
    assert (drawn == (255, 48, 48)).all(axis=-1).sum() > 100
    # what is not ours stays as it is
    assert "was not written by swath" in chat.says("/boxes field.png")
    (tmp_path / "mine.json").write_text("{}")
    assert "was not written by swath" in chat.says("/save mine.json")
    assert (tmp_path / "mine.json").read_text() == "{}"
    assert chat.says("/save talk.json") == "talk.json: 3 questions and their answers"


def test_a_region_is_turned_about_its_middle_and_written_as_the_family_does(terminal, picture):
    chat = terminal("swath-nano", "field.png")
    region = "(25.0, 5.0) (25.0, 25.0) (15.0, 25.0) (15.0, 5.0)"
    assert region in chat.says("/region 10 10 30 20 90")
    said = chat.says("[identify] what is the object at [box]?").splitlines()[0]
    question = "[identify] what is the object at [box 25 5 25 25 15 25 15 5]?"
    nano = swath.load("swath-nano")
    assert said == nano.ask(picture, question).text
    assert said != nano.ask(picture, "[identify] what is the object at [box 0 0 112 112]?").text
    assert "[box" not in chat.says("what is there?")  # it was of one question


def test_what_cannot_be_followed_is_one_line_and_the_conversation_goes_on(
    terminal, picture, tmp_path
):
    (tmp_path / "broken.tif").write_bytes(b"II*\0 but not really")
    chat = terminal("swath-nano")
    for line, words in {
        "what is it?": "no picture yet; name one, as in: /image scene.tif",
        "/region 1 2 3 4": "no picture yet",
        "/boxes out.png": "there is no answer yet",
        "/save talk.json": "nothing has been said yet",
        "/image": "name a picture, as in: /image scene.tif",
        "/image gone.png": "gone.png: no such file",
        "/image broken.tif": "broken.tif",
        "/image 'field.png": "a quote is opened and not closed",
        "/clip field.png": "name one clip",
        "/boxs out.png": "'/boxs'; did you mean /boxes?",
        "/base": "'swath-nano' is no run, so what it was tuned from",
        "/base swath-nano": "swath-nano is what you talk to",
        "/base gone": "'gone': there is no such run",
    }.items():
        assert words in chat.says(line), line
    chat.says("/image field.png")
    for line, words in {
        "/region 1 2 3": "a region is four numbers",
        "/region 1 2 nan 4": "a region is four numbers",
        "/region 5 5 5 9": "no width or no height",
        "/region 200 200 220 220": "beyond the picture of 112 x 112 pixels",
        "what is at [box 1 2 3]?": "is no box; write four numbers",
    }.items():
        shown = chat.says(line)
        assert shown.startswith("swath: ") and words in shown.replace("\n", ""), line
    assert chat.says("what kind of scene is this?")
    assert chat.quits() == 0


def test_a_geotiff_answers_with_a_place_on_earth(terminal, tmp_path):
    shape = {"width": 112, "height": 112, "count": 1, "dtype": "uint16", "crs": "EPSG:32631"}
    values = np.random.default_rng(0).integers(100, 4000, (1, 112, 112), dtype=np.uint16)
    grid = rasterio.transform.from_origin(500_000, 4_500_000, 2, 2)
    with rasterio.open(tmp_path / "scene.tif", "w", transform=grid, **shape) as file:
        file.write(values)
    chat = terminal("swath-nano", "scene.tif")
    chat.until(lambda rows: "scene.tif: 112 x 112 pixels, EPSG:32631, 2 m a pixel" in rows)
    shown = chat.says(REFER).replace("\n", "")
    boxes = swath.load("swath-nano").ask(tmp_path / "scene.tif", REFER).boxes
    x, y = boxes.quads[0][0]
    assert f"box 1, pixels: ({x:.1f}, {y:.1f})" in shown
    # 3 degrees east is the zone's middle, where x is 500 km
    lon, lat = shown.partition("latitude: (")[2].partition(")")[0].split(", ")
    assert float(lon) == pytest.approx(3 + 2 * x / 84_500, abs=2e-5)
    assert float(lat) == pytest.approx(40.651 - 2 * y / 111_040, abs=3e-4)


def test_chinese_is_edited_sign_by_sign_and_lines_come_back(terminal, picture):
    chat = terminal("swath-nano", "field.png")
    chat.until(lambda rows: rows and rows[-1] == ">")
    chat.types("这是港口" + LEFT + BACKSPACE)
    chat.until(lambda rows: rows[-1] == "> 这是口")
    assert chat.screen.cursor.x == 2 + 2 * 2  # behind two signs of two columns each
    chat.types("海\r")
    chat.until(lambda rows: rows[-2:-1] != ["> 这是海口"] and rows[-1] == ">")
    chat.types(UP)
    chat.until(lambda rows: rows[-1] == "> 这是海口")
    chat.types(CTRL_C)
    chat.until(lambda rows: rows[-2:] == ["/quit ends.", ">"])
    chat.types("/ima\tfie\t")  # Tab completes commands and files
    chat.until(lambda rows: rows[-1] == "> /image field.png")
    chat.types(CTRL_C)
    chat.until(lambda rows: rows[-1] == ">")
    chat.quits()
    later = terminal("swath-nano", "field.png")
    later.until(lambda rows: rows and rows[-1] == ">")
    later.types(UP + UP)
    later.until(lambda rows: rows[-1] == "> 这是海口")


def test_words_come_as_a_server_sends_them_and_ctrl_c_stops_them(terminal, slow, picture):
    server = slow({"one": ["a harbour", " with ships"]})
    chat = terminal(server.address, "field.png")
    chat.until(lambda rows: rows and rows[-1] == ">")
    chat.types("what is it?\r")
    chat.until(lambda rows: rows[-1] == "a harbour")
    chat.types(CTRL_C)
    chat.until(lambda rows: rows[-1] == ">" and "stopped; this question is" in rows[-2])
    server.on.set()
    assert chat.says("and now?") == "a harbour with ships"
    chat.says("once more?")
    roles = [[message["role"] for message in body["messages"]] for body in server.asked]
    assert roles == [["user"], ["user"], ["user", "assistant", "user"]]  # what was stopped is gone
    server.server.shutdown()
    server.server.server_close()
    shown = chat.says("still there?").replace("\n", "")
    assert shown.startswith("swath: ") and "gave no answer" in shown and "Ask again." in shown


def test_base_and_tuned_stand_side_by_side_in_columns_that_know_broad_signs(
    terminal, slow, picture
):
    server = slow({"tuned": ["港口，", "有三艘船。"], "base": ["一片海，", "\x1b[2J没有船。"]})
    server.on.set()
    chat = terminal(server.address, "field.png", "--model", "tuned")
    assert chat.says("这是什么？") == "港口，有三艘船。"
    head, answers, line = chat.says("/base base").splitlines()
    assert head.split() == ["base", "tuned"] and line.startswith("base answers beside tuned")
    assert [answers.split()[0], answers.split()[1]] == ["一片海，[2J没有船。", "港口，有三艘船。"]
    # the second column begins in the same cell, whatever stands in the first
    cells = len(answers[: answers.index("港")]) + len("一片海，没有船。")
    assert cells == head.index("tuned")
    assert "no model" not in chat.says("有几艘？")
    assert [body["model"] for body in server.asked] == ["tuned", "base", "base", "tuned"]
    assert "/base needs a model of the server: tuned, base" in chat.says("/base gone")
    assert chat.says("/base") == "base is asked no more"
    assert chat.says("有几艘？") == "港口，有三艘船。"


def test_columns_end_their_last_line_in_a_pipe_too(capsys):
    with Screen() as screen:
        screen.show(Answers({"base": "sea", "tuned": "port"}, {"base": [], "tuned": []}))
        screen.show("base is asked no more")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].split() == ["sea", "port"] and lines[-1] == "base is asked no more"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone"], "'gone': there is no such run or folder"),
        (["http://127.0.0.1:9/v1"], "http://127.0.0.1:9/v1/models lists no models"),
        (["swath-nano", "--model", "x"], "--model names a model of a server"),
        (["swath-nano", "gone.tif"], "gone.tif: no such file"),
    ],
)
def test_a_model_or_picture_that_is_not_there_is_one_line_and_the_end(terminal, arguments, words):
    chat = terminal(*arguments)
    chat.process.expect_exact("swath: ")
    shown = b"swath: " + chat.process.read()
    chat.process.wait()
    assert words in shown.decode() and shown.count(b"\n") == 1
    assert chat.process.exitstatus in (1, 2)


def test_a_server_with_several_models_has_one_chosen(terminal, slow):
    chat = terminal(slow({"one": ["x"], "two": ["y"]}).address)
    chat.process.expect_exact("it serves several; choose with --model: one, two")
