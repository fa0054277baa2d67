"""`swath serve`: models behind an address that the OpenAI and Mistral clients speak to."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from swath.cli.console import say
from swath.errors import RequestError

KEYS = "keys.json"
"""File of the keys' hashes, in the server's folder."""


def serve(
    model: Annotated[
        list[str] | None,
        typer.Argument(
            help="Runs, exported folders or swath-nano; NAME=RUN serves one by a name of your own."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    home: Annotated[Path, typer.Option(help="Folder of the server's files, jobs and keys.")] = Path(
        "serving"
    ),
    known_as: Annotated[
        list[str] | None, typer.Option(help="A host name by which it is reached.")
    ] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="A site whose pages may ask, as https://maps.org.")
    ] = None,
    allow_urls: Annotated[
        bool,
        typer.Option(
            "--allow-urls", help="Read pictures at public addresses, not data URIs alone."
        ),
    ] = False,
    price: Annotated[
        float | None, typer.Option(min=0, help="Of an hour of this machine, to say what jobs cost.")
    ] = None,
    currency: Annotated[str, typer.Option(help="Of --price.")] = "EUR",
    new_key: Annotated[
        str | None, typer.Option(help="Make a key for this person or program, and end.")
    ] = None,
    at_once: Annotated[
        int | None, typer.Option(min=1, help="With --new-key: its requests at the same time.")
    ] = None,
    per_minute: Annotated[
        int | None, typer.Option(min=1, help="With --new-key: its requests a minute.")
    ] = None,
) -> None:
    """Serve models to OpenAI's and Mistral's clients, on this machine unless told otherwise."""
    try:
        from swath.serving.access import Access, add_key, read_keys
        from swath.serving.app import create_app
    except ModuleNotFoundError as error:
        raise RequestError(
            f"serving needs {error.name}; install it with: pip install 'swath[serve]'"
        ) from None

    keys_file = home / KEYS
    if new_key is not None:
        key = add_key(keys_file, new_key, at_once=at_once, per_minute=per_minute)
        say(key, f"for {new_key}; it is not kept and not shown again.")
        return
    if not model:
        raise RequestError("name a run to serve, as in: swath serve runs/quickstart")
    paths = named(model)
    with listening(host, port) as door:
        keys = read_keys(keys_file) if keys_file.is_file() else ()
        access = Access(frozenset(known_as or ()), frozenset(origin or ()), keys)
        cost = None if price is None else (price, currency)
        app = create_app(paths, home, access, allow_urls=allow_urls, price=cost)
        address = f"http://{host}:{door.getsockname()[1]}/v1"
        say(f"{', '.join(paths)} at {address}; Ctrl-C ends it.")
        if not keys and host not in ("127.0.0.1", "localhost", "::1"):
            say("Whoever reaches this address may ask: `swath serve --new-key NAME` makes a key.")
        run(app, door)


def run(app: Any, door: socket.socket) -> None:
    """Answer what comes to a socket, until interrupted."""
    import uvicorn  # of swath[serve], and of swath[studio]

    config = uvicorn.Config(app, log_level="warning", server_header=False)
    uvicorn.Server(config).run(sockets=[door])


def named(models: list[str]) -> dict[str, str]:
    """Paths by the names they are served by: `name=path`, or the last folder of the path.

    Raises:
        RequestError: two would go by the same name.
    """
    paths: dict[str, str] = {}
    for model in models:
        name, equals, path = model.partition("=")
        if not equals:
            name, path = Path(model).resolve().name, model
        if name in paths:
            raise RequestError(
                f"{paths[name]} and {path} would both go by '{name}'; give one a name of its own, "
                f"as in: other={path}"
            )
        paths[name] = path
    return paths


def listening(host: str, port: int) -> socket.socket:
    """A socket at an address.

    Raises:
        RequestError: there is no such address here, or something listens there already.
    """
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(place[:2], family=family)
    except OSError as error:
        reason = error.strerror
        if error.errno is not None and error.errno > 0:  # not of a look-up
            reason = os.strerror(error.errno)
        raise RequestError(
            f"cannot listen at {host}, port {port} ({reason}); choose another with --port or "
            f"--host."
        ) from None
