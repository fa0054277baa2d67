"""What every test shares: an offline, quiet process, and folders of real data if there are any."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

# Set before any test imports torch or transformers, which read them once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Tiny models gain nothing from more.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

_LONG = (
    "test_systems.py",
    "test_tune_page.py",
    "test_processes.py",
    "test_scans.py",
    "test_clients.py",
    "test_device.py",
    "test_publishing.py",
    "test_fuzz.py",
)
"""Files of few tests that take long."""


def pytest_collection_modifyitems(items):
    """Begin with the long files, so that no worker is alone with one at the end."""
    items.sort(key=lambda item: item.path.name not in _LONG)


def _folder(variable: str, holds: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set; point it at a folder of {holds}")
    folder = Path(value)
    if not folder.is_dir():
        pytest.fail(f"{variable} is {folder}, which is no folder")
    return folder


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory) -> Path:
    """Folder of a tiny random model of swath-nano's architecture, for `models.base`."""
    from tests.making import write_tiny_model

    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture
def tiny(tiny_base):
    """The tiny model, loaded anew: a test may change it."""
    from swath.models.loaded import load_folder

    return load_folder(tiny_base, "tiny")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real images and annotations that SWATH_DATA names."""
    return _folder("SWATH_DATA", "real images and annotations")


@pytest.fixture(scope="session")
def vectors_folder() -> Path:
    """The folder of inputs and outputs of reference implementations that SWATH_VECTORS names."""
    return _folder("SWATH_VECTORS", "reference inputs and outputs")


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """The folder of small published models that SWATH_WEIGHTS names; `make weights` fills it."""
    return _folder("SWATH_WEIGHTS", "the models that `make weights` fetches")


@pytest.fixture
def swath(monkeypatch, capsys):
    """Run a command line in this process: exit code, standard output, standard error."""
    from swath.cli import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["swath", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return (end.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def full_disk():
    """Let no file of this process grow beyond some bytes, as on a disk that has no more room."""
    resource = pytest.importorskip("resource", reason="only POSIX limits the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    @contextlib.contextmanager
    def limited(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    yield limited
    signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture(scope="module")
def chromium():
    """A browser for the tests of one file: while it is there, none can run a loop of its own."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
