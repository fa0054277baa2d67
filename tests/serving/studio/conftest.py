"""A studio in a process of its own, which no machine outside can be reached from, and a browser."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the extra `studio` is not installed")

WAIT_S = 300  # of a machine on which other tests run

# Whatever the process tries to reach outside is refused, and written down.
NO_NETWORK = """
import os, socket
connect, lookup = socket.socket.connect, socket.getaddrinfo
def near(address):
    return not isinstance(address, tuple) or address[0] in ("127.0.0.1", "::1", "localhost")
def refused(address):
    with open(os.environ["REFUSED"], "a") as file:
        file.write(f"{address}\\n")
    raise ConnectionRefusedError(f"{address}: refused by the test")
def connecting(self, address):
    return connect(self, address) if near(address) else refused(address)
def looking(host, *rest, **more):
    return lookup(host, *rest, **more) if near((host,)) or host is None else refused(host)
socket.socket.connect, socket.getaddrinfo = connecting, looking
"""


class Studio:
    """A running `swath studio`.

    Args:
        folder: it runs here; its experiments are in `runs`.
        arguments: further ones of the command line.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder, self.home = folder, folder / "runs"
        hook = folder / "hook"
        hook.mkdir(exist_ok=True)
        (hook / "sitecustomize.py").write_text(NO_NETWORK)
        self.refused = folder / "refused.txt"
        path = os.pathsep.join([str(hook), str(Path(__file__).parents[3])])
        environment = {**os.environ, "PYTHONPATH": path, "REFUSED": str(self.refused)}
        environment.pop("HF_HUB_OFFLINE", None)
        with (folder / "studio.txt").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-m", "swath", "studio", "--port", "0", *arguments],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.address = self._until_it_listens()
        self.origin, _, self.secret = self.address.partition("/?secret=")

    def _until_it_listens(self) -> str:
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end and self.process.poll() is None:
            if found := re.search(r"http://\S+", self.output):
                return found[0]
            time.sleep(0.2)
        raise AssertionError(f"the studio did not start: {self.output}")

    @property
    def output(self) -> str:
        return (self.folder / "studio.txt").read_text()

    def stop(self, how: int = signal.SIGINT) -> None:
        self.process.send_signal(how)
        self.process.wait(60)


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    running = Studio(tmp_path_factory.mktemp("studio"))
    yield running
    running.stop()
    assert not running.refused.exists(), running.refused.read_text()


@pytest.fixture(scope="module")
def page(chromium, studio):
    """The studio in a browser; every request goes to it, and no script of data runs."""
    with opened(chromium, studio) as page:
        yield page


def go_to(page, tab, waited):
    """Open a tab by its name, once it shows what is waited for."""
    page.get_by_role("tab", name=tab, exact=True).click()
    page.wait_for_selector(waited)


class opened:  # noqa: N801 (reads as a function)
    """The studio's page as a context; `language` is the browser's."""

    def __init__(self, chromium, studio, language="en-US"):
        self.context = chromium.new_context(
            viewport={"width": 1360, "height": 1000}, locale=language
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * WAIT_S)
        self.studio, self.requests, self.alarms = studio, [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on(
            "dialog", lambda dialog: self.alarms.append(dialog.message) or dialog.dismiss()
        )
        self.page.on("pageerror", lambda error: self.alarms.append(str(error)))

    def __enter__(self):
        self.page.goto(self.studio.address)
        self.page.wait_for_selector("#head .swath-head h1")
        return self.page

    def __exit__(self, *failure):
        self.context.close()
        if failure[0] is None:
            outside = [
                url
                for url in self.requests
                if not url.startswith((self.studio.origin, "data:", "blob:"))
            ]
            assert (outside, self.alarms) == ([], [])
