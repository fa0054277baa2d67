"""Pictures at addresses: public ones alone, looked up once, redirects looked at like the first."""

import socket
from contextlib import closing, suppress
from threading import Event, Thread

import httpx
import pytest

from swath.serving import fetching
from swath.serving.fetching import Fetcher, is_public, public_address
from swath.serving.protocol import ServeError


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "224.0.0.1", "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "ff02::1", "::", "::7f00:1",
        "fec0::1", "64:ff9b:1::7f00:1", "4000::1",
    ],
)  # fmt: skip
def test_addresses_of_private_networks_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_public(address):
    assert is_public(address)


def test_a_name_of_which_one_address_is_private_is_refused(monkeypatch):
    def rows(host, port, type):
        return [(2, 1, 6, "", (address, port)) for address in ("93.184.216.34", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", rows)
    with pytest.raises(ServeError, match="private network"):
        public_address("mixed.example", 80)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9/a.png", "private network"),
        ("http://localhost/a.png", "private network"),
        ("http://[::1]/a.png", "private network"),
        ("http://2130706433/a.png", "private network"),
        ("http://name:secret@93.184.216.34/", "no plain http"),
        ("ftp://93.184.216.34/a.png", "no plain http"),
        ("http:///a.png", "no plain http"),
        ("http://no.such.name.invalid/a.png", "name that is not known"),
        ("http://93.184.216.34:99999/a.png", "could not be read"),
    ],
)
def test_what_is_not_a_plain_public_address_is_refused(url, words):
    with pytest.raises(ServeError, match=words):
        Fetcher(1000)(url)


@pytest.fixture
def open_house(monkeypatch):
    """The stand's own address counts as public here, under the name `pictures.example`."""
    looked_up = []

    def address(host, port):
        looked_up.append(host)
        if host not in ("pictures.example", "127.0.0.1"):
            raise ServeError(400, "The picture's address is on a private network.")
        return "127.0.0.1"

    monkeypatch.setattr(fetching, "public_address", address)
    return looked_up


def answering(status, body=b"", **headers):
    """What replaces the network's answer to a GET."""

    def handle(request):
        answers.append((request.url.host, request.headers["Host"], dict(request.extensions)))
        return httpx.Response(status, stream=httpx.ByteStream(body), headers=headers)

    answers = []
    return handle, answers


CLIENT = httpx.Client


def served(monkeypatch, handle):
    transport = httpx.MockTransport(handle)
    monkeypatch.setattr(fetching.httpx, "Client", lambda **_: CLIENT(transport=transport))


def test_the_connection_goes_to_the_address_that_was_looked_at(open_house, monkeypatch):
    handle, answers = answering(200, b"pixels")
    served(monkeypatch, handle)
    assert Fetcher(1000)("https://pictures.example/a.png?x=1") == b"pixels"
    (host, name, extensions) = answers[0]
    assert (host, name, extensions["sni_hostname"]) == (
        "127.0.0.1", "pictures.example", "pictures.example",
    )  # fmt: skip
    assert open_house == ["pictures.example"]


def test_a_redirect_to_a_private_address_is_refused(open_house, monkeypatch):
    handle, answers = answering(302, location="http://169.254.169.254/latest/meta-data")
    served(monkeypatch, handle)
    with pytest.raises(ServeError, match="private network"):
        Fetcher(1000)("https://pictures.example/a.png")
    assert open_house == ["pictures.example", "169.254.169.254"] and len(answers) == 1


def test_redirects_in_a_circle_and_pictures_without_end_are_refused(open_house, monkeypatch):
    served(monkeypatch, answering(302, location="/again")[0])
    with pytest.raises(ServeError, match="leads on more than 3 times"):
        Fetcher(1000)("https://pictures.example/a.png")
    served(monkeypatch, answering(200, b"x" * 2000)[0])
    with pytest.raises(ServeError, match="is larger than"):
        Fetcher(1000)("https://pictures.example/a.png")
    served(monkeypatch, answering(404)[0])
    with pytest.raises(ServeError, match="could not be read"):
        Fetcher(1000)("https://pictures.example/a.png")


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n", b"", None]
)
def test_what_trickles_without_end_is_given_up(open_house, monkeypatch, start):
    """Headers, a body, silence, and early hints one after another, which are no answer."""
    monkeypatch.setattr(fetching, "TIMEOUT_S", 0.3)
    given_up = Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def trickle():
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(1000)
                connection.sendall(start or b"")
                while not given_up.wait(0.02):
                    connection.sendall(
                        b"HTTP/1.1 103 Early Hints\r\n\r\n" if start is None else b"a"
                    )

        teller = Thread(target=trickle)
        teller.start()
        try:
            with pytest.raises(ServeError, match="answers too slowly"):
                Fetcher(1000_000)(f"http://pictures.example:{server.getsockname()[1]}/a.png")
        finally:
            given_up.set()
            teller.join()
