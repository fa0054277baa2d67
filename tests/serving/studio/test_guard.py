import os
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from swath.serving.studio import application

PAGE = "/en/"
UPLOAD = "/en/gradio_api/upload"


@pytest.fixture(scope="module")
def admitted(studio):
    """A client that came by the address that was printed."""
    with httpx.Client(base_url=studio.origin, timeout=300) as client:
        assert client.get("/", params={"secret": studio.secret}).status_code == 303
        yield client


def test_who_has_the_secret_is_led_on_without_it_and_admitted(admitted, studio):
    response = admitted.get("/", params={"secret": studio.secret})
    assert response.headers["location"] == "/"
    assert "HttpOnly" in response.headers["set-cookie"]
    assert admitted.get(PAGE).status_code == 200


def test_who_has_no_secret_gets_nothing(studio):
    for path in ("/", PAGE, "/en/gradio_api/info", "/pictures/x", "/?secret=wrong"):
        assert httpx.get(studio.origin + path).status_code == 403


def test_a_secret_leads_to_no_other_machine(studio):
    response = httpx.get(f"{studio.origin}//evil.example/?secret={studio.secret}")
    assert response.headers["location"] == "/evil.example/"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil:80", ""])
def test_another_name_of_this_machine_is_refused(admitted, host):
    assert admitted.get(PAGE, headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1", "https://x"])
def test_an_upload_from_another_page_is_refused(admitted, studio, origin):
    files = {"files": ("a.png", b"x")}
    assert admitted.post(UPLOAD, files=files, headers={"Origin": origin}).status_code == 403
    taken = admitted.post(UPLOAD, files=files, headers={"Origin": studio.origin})
    assert taken.status_code == 200


def test_nobody_may_frame_the_page_and_it_loads_nothing_from_outside(admitted):
    headers = admitted.get(PAGE).headers
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_no_event_is_a_public_endpoint(admitted):
    info = admitted.get("/en/gradio_api/info").json()
    assert info["named_endpoints"] == info["unnamed_endpoints"] == {}


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "runs", "../../../../etc/passwd", "http://x/a.png"]
)
def test_no_file_of_the_machine_is_handed_out(admitted, path):
    assert admitted.get(f"/en/gradio_api/file={path}").status_code in (403, 404)


def test_a_file_larger_than_the_limit_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(application, "LARGEST_UPLOAD", 1000)
    app = application.studio(tmp_path, 80, "s3cret")
    headers = {"Host": "127.0.0.1:80", "Cookie": "swath-studio-80=s3cret"}
    with TestClient(app, headers=headers) as client:
        sizes = {100: 200, 10_000: 413}
        for size, status in sizes.items():
            response = client.post(UPLOAD, files={"files": ("a.png", b"0" * size)})
            assert response.status_code == status
        uploads = Path(os.environ["GRADIO_TEMP_DIR"])
        assert [*uploads.iterdir()]
    assert not uploads.exists()


def test_a_socket_is_closed_whoever_opens_it():
    from starlette.websockets import WebSocketDisconnect

    from swath.serving.studio.guard import Guard

    async def inside(scope, receive, send):
        await send({"type": "websocket.accept"})

    client = TestClient(Guard(inside, 1, "secret"))
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws"):
        pass
