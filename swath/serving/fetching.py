"""Pictures at addresses, where the server was told to read them: of the public internet alone.

A name is looked up once, and the connection goes to the address that was looked at, so that a name
cannot mean a public address first and a private one a moment later (DNS rebinding). Redirects are
followed by hand and looked at in the same way.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Timer
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from swath.serving.protocol import ServeError

REDIRECTS = 3
TIMEOUT_S = 20.0
"""For each wait, and for a picture as a whole: its redirects, its headers and its bytes."""

_PORTS = {"http": 80, "https": 443}


class Fetcher:
    """Reads addresses.

    Args:
        most_bytes: of a picture.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes

    def __call__(self, url: str) -> bytes:
        """The bytes at an address.

        Raises:
            ServeError: it is private, does not answer, or sends too much.
        """
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client, _watched() as watch:
            for _ in range(REDIRECTS + 1):
                try:
                    content, onward = self._get(client, url, watch)
                except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, ValueError) as error:
                    if watch.over:
                        raise _refused("answers too slowly") from None
                    raise _refused(f"could not be read ({type(error).__name__})") from None
                if watch.over:  # a body without a length ends whole where it is cut off
                    raise _refused("answers too slowly")
                if onward is None:
                    return content
                url = urljoin(url, onward)
        raise _refused(f"leads on more than {REDIRECTS} times")

    def _get(self, client: httpx.Client, url: str, watch: _Watch) -> tuple[bytes, str | None]:
        """The bytes at an address, or where it leads on."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme not in _PORTS or not host or parts.username is not None:
            raise _refused("is no plain http or https address")
        port = parts.port or _PORTS[parts.scheme]
        address = public_address(host, port)
        literal = f"[{address}]" if ":" in address else address
        request = client.build_request(
            "GET",
            httpx.URL(url).copy_with(host=literal, port=port),
            headers={"Host": parts.netloc, "Accept-Encoding": "identity"},
            extensions={"sni_hostname": host, "trace": watch.follow},
        )
        response = client.send(request, stream=True)
        try:
            if response.is_redirect:
                return b"", response.headers["location"]
            response.raise_for_status()
            return self._limited(response), None
        finally:
            response.close()

    def _limited(self, response: httpx.Response) -> bytes:
        content = b""
        for part in response.iter_raw():
            content += part
            if len(content) > self._most_bytes:
                raise _refused(f"is larger than {self._most_bytes >> 20} MiB")
        return content


class _Watch:
    """Shuts the connection of a request once its time is over, whatever trickles over it."""

    def __init__(self) -> None:
        self.over = False
        self._socket: socket.socket | None = None

    def follow(self, event: str, details: Mapping[str, Any]) -> None:
        """Told by `httpx` of each connection that is made."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = details["return_value"].get_extra_info("socket")
            if self.over:
                self._shut()

    def end(self) -> None:
        """Shut the connection, and any that is still to come."""
        self.over = True
        self._shut()

    def _shut(self) -> None:
        try:
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # it is closed already
            pass


@contextmanager
def _watched() -> Iterator[_Watch]:
    """A watch over the requests of a block, whose time is over after `TIMEOUT_S`."""
    watch = _Watch()
    timer = Timer(TIMEOUT_S, watch.end)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    finally:
        timer.cancel()


def public_address(host: str, port: int) -> str:
    """The first address of a name, once none of its addresses is private.

    Raises:
        ServeError: one is, or there is none.
    """
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _refused("has a name that is not known") from None
    addresses = [str(row[4][0]).partition("%")[0] for row in rows]
    for address in addresses:
        if not is_public(address):
            raise _refused("is on a private network, which is never read")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether a numeric address is one of the public internet."""
    number = ipaddress.ip_address(address)
    if isinstance(number, ipaddress.IPv6Address):
        inner = number.ipv4_mapped or number.sixtofour or _behind_nat64(number)
        if inner is not None:
            return is_public(str(inner))
        if number not in _GLOBAL:
            return False
    return number.is_global and not number.is_multicast


_GLOBAL = ipaddress.ip_network("2000::/3")
"""All that is given out of IPv6; `ipaddress` calls forms that nobody uses any more public too."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _behind_nat64(number: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(int(number) & 0xFFFFFFFF) if number in _NAT64 else None


def _refused(words: str) -> ServeError:
    return ServeError(400, f"The picture's address {words}.", "messages", "address_refused")
