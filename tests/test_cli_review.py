import io
import json
import threading
import urllib.error
import urllib.request
from http.client import HTTPConnection

import numpy as np
import pytest
from PIL import Image as Picture
from typer.testing import CliRunner

from swath.cli import app
from swath.cli.review import ask
from swath.cli.reviewpage import ReviewServer
from swath.instructions.review import FILE, Review
from swath.recipe import Rendering
from tests.making import annotated, small_set, write_set


@pytest.fixture
def built(tmp_path):
    made = small_set(tmp_path / "pictures", count=4, test=1)
    write_set(tmp_path / "run" / "set", annotated(tmp_path / "pictures", 4, test=1), made)
    return made


@pytest.fixture
def given(tmp_path, built):
    review = Review(tmp_path / "run" / FILE, built.choices["classify"])
    yield review
    review.close()


@pytest.fixture
def page(built, given):
    """The address of a page that is being served."""
    with ReviewServer(list(built.conversations), given) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running.address
        running.shutdown()
        thread.join()


def get(address):
    with urllib.request.urlopen(address) as reply:
        return reply.read()


def post(address, **said):
    body, kind = json.dumps(said).encode(), {"Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, kind)) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_page_is_whole_and_asks_nothing_of_the_net(page):
    text = get(page).decode()
    assert "/*CSS*/" not in text and "NONCE" not in text and "--paper" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_pictures_are_shown_as_the_model_sees_them(built, given):
    red = Rendering(bands=[1], stretch="none")
    with ReviewServer(list(built.conversations), given, rendering=red) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        shown = Picture.open(io.BytesIO(get(running.address + "picture/0/0")))
        running.shutdown()
        thread.join()
    assert np.ptp(np.asarray(shown).astype(int), axis=2).max() <= 2  # grey: one band of three


def test_a_verdict_is_kept_and_answered_with_the_next_row(page, built, given):
    first = json.loads(get(page + "next"))
    assert (first["at"], first["id"]) == (0, built.conversations[0].id)
    second = post(page + "verdict", id=first["id"], verdict="reject", answer="")
    assert (second["at"], second["done"]) == (1, 1)
    assert given.verdict(built.conversations[0]) == "reject"
    assert json.loads(get(page + "row/0"))["verdict"] == "reject"
    assert json.loads(get(page + "next"))["at"] == 1


def test_a_correction_is_shown_from_then_on(page, built):
    place = next(n for n, one in enumerate(built.conversations) if one.task == "refer")
    row = json.loads(get(f"{page}row/{place}"))
    assert (row["answer"], row["frame"]) == ("[box 2 3 12 3 12 11 2 11]", 0)
    post(page + "verdict", id=row["id"], verdict="correct", answer="[box 1 2 3 4]")
    assert json.loads(get(f"{page}row/{place}"))["answer"] == "[box 1 2 3 2 3 4 1 4]"


def test_an_answer_that_is_none_is_refused_with_the_reason(page, built):
    status, told = post(page + "verdict", id=built.conversations[0].id, verdict="correct",
                        answer="swamp")  # fmt: skip
    assert status == 422 and "names no class of the set" in told["error"]


def test_pictures_are_shown_as_jpeg(page):
    assert get(page + "picture/0/0").startswith(b"\xff\xd8")


@pytest.mark.parametrize("path", ["row/9999", "row/-1", "picture/0/7", "../set/card.json", "x"])
def test_nothing_else_is_served(page, path):
    with pytest.raises(urllib.error.HTTPError) as error:
        get(page + path)
    assert error.value.code == 404


def test_without_the_token_or_under_another_name_nothing_is_served(page):
    home, _, token = page.rstrip("/").rpartition("/")
    for address in (home + "/", f"{home}/{token}x/", f"{home}/wrong/next"):
        with pytest.raises(urllib.error.HTTPError) as error:
            get(address)
        assert error.value.code == 403
    other = HTTPConnection(home.removeprefix("http://"))
    other.request("GET", f"/{token}/next", headers={"Host": "evil.example"})
    assert other.getresponse().status == 403
    other.close()


@pytest.mark.parametrize("said", [{}, {"id": "nobody", "verdict": "accept"}, {"verdict": "burn"}])
def test_a_request_that_is_no_verdict_is_refused(page, said):
    status, told = post(page + "verdict", **said)
    assert status == 400 and "expected id, verdict and answer" in told["error"]


@pytest.mark.parametrize("length", ["abc", "-5", str(1 << 21)])
def test_a_body_of_no_length_or_too_long_is_refused_unread(page, length):
    host, _, token = page.removeprefix("http://").strip("/").partition("/")
    asked = HTTPConnection(host)
    asked.putrequest("POST", f"/{token}/verdict")
    asked.putheader("Content-Type", "application/json")
    asked.putheader("Content-Length", length)
    asked.endheaders()
    assert asked.getresponse().status == 400
    asked.close()


def test_another_sites_form_cannot_give_a_verdict(page, given):
    """Browsers send forms and plain text without asking, JSON only to servers that allow it."""
    host, _, token = page.removeprefix("http://").strip("/").partition("/")
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        asked = HTTPConnection(host)
        body = '{"id": "any", "verdict": "accept"}'
        asked.request("POST", f"/{token}/verdict", body, {"Content-Type": kind})
        assert asked.getresponse().status == 400
        asked.close()
    asked = HTTPConnection(host)
    asked.request("OPTIONS", f"/{token}/verdict", headers={"Origin": "http://evil.example"})
    reply = asked.getresponse()
    assert reply.getheader("Access-Control-Allow-Origin") is None
    asked.close()
    assert not given.path.exists()


def test_in_the_terminal_rows_are_accepted_rejected_and_corrected(built, given, capsys):
    said = iter(["a", "r", "c", "A square.", "b", "r", "x", "q"])
    ask(list(built.conversations), given, lambda words: next(said))
    verdicts = [given.verdict(one) for one in built.conversations[:4]]
    assert verdicts == ["accept", "reject", "reject", None]
    assert "What kind of scene is this?" in capsys.readouterr().out


def test_going_back_twice_goes_two_rows_back(built, given):
    said = iter(["a", "a", "b", "b", "r", "q"])
    ask(list(built.conversations), given, lambda words: next(said))
    assert [given.verdict(one) for one in built.conversations[:3]] == ["reject", "accept", None]


def test_the_command_keeps_verdicts_beside_the_set_and_counts_them(built, tmp_path):
    for folder in ("run", "run/set"):
        done = CliRunner().invoke(
            app, ["review", str(tmp_path / folder), "--terminal"], input="r\nq\n"
        )
        assert done.exit_code == 0, done.output
    assert "2 rejected" in done.output and "the next build replays them" in done.output
    assert (tmp_path / "run" / FILE).is_file()


def test_rows_that_are_not_there_are_refused(built, tmp_path):
    done = CliRunner().invoke(app, ["review", str(tmp_path / "run"), "--task", "describe"])
    assert "no rows of that task and split" in str(done.exception)
    done = CliRunner().invoke(app, ["review", str(tmp_path)])
    assert "no set here; `swath build RECIPE` makes one" in str(done.exception)
