"""The text of a PDF's pages, read in a process of its own that may take only so long and so much.

PDF readers are written for files that mean well: a few kilobytes can ask for hours or gigabytes.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import orjson

from swath.errors import RequestError

MOST_PAGES = 5000
MOST_TEXT = 8 << 20
"""Characters of a PDF's text at most."""
SECONDS = 120
MEMORY = 2 << 30
"""Bytes the reading process may hold."""


class PdfError(Exception):
    """Why a PDF gives no text."""


def pages_of(file: Path) -> list[str]:
    """The text of each page.

    Raises:
        PdfError: it is damaged, encrypted, a scan without text, or takes too much.
        RequestError: the package that reads PDF is missing.
    """
    if find_spec("pypdf") is None:
        raise RequestError(f"{file}: reading PDF needs pypdf; run pip install 'swath[rag]'.")
    command = [sys.executable, "-P", "-m", __name__, str(file)]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise PdfError(f"takes longer than {SECONDS} s to read; print it to a new PDF") from None
    if ended.returncode:
        lines = ended.stderr.decode("utf-8", "replace").split("\n")
        reason = next((line for line in reversed(lines) if line.strip()), "the reader broke off")
        raise PdfError(f"cannot be read as PDF ({reason.strip()[:160]}); print it to a new PDF")
    pages: list[str] = orjson.loads(ended.stdout)
    if not any(page.strip() for page in pages):
        raise PdfError("holds no text; if it is a scan, run a character recognition on it first")
    return pages


def _extracted(file: str) -> list[str]:
    """The text of each page, as pypdf reads it.

    Raises:
        ValueError: it is encrypted, or longer than we take.
    """
    from pypdf import PdfReader  # of the extra swath[rag]

    reader = PdfReader(file)
    if reader.is_encrypted:
        raise ValueError("it is encrypted: save a copy without a password")
    if len(reader.pages) > MOST_PAGES:
        raise ValueError(f"it has {len(reader.pages)} pages, more than {MOST_PAGES}")
    pages: list[str] = []
    total = 0
    for page in reader.pages:
        pages.append(page.extract_text())
        total += len(pages[-1])
        if total > MOST_TEXT:
            raise ValueError(f"its text is longer than {MOST_TEXT} characters")
    return pages


def _bounded() -> None:
    """Let this process hold so much memory and no more, where the system can do that."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    _bounded()
    logging.disable()  # it has a line to say of every fault, and a file may hold millions
    sys.stdout.buffer.write(orjson.dumps(_extracted(sys.argv[1])))
