"""Documents: Markdown, text, PDF and tables as passages that say where they stand.

What cannot be read is left out and noted; a file is data, and nothing it says is run, opened or
fetched.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swath.annotations.finding_pictures import absolute, files_below, is_picture
from swath.annotations.findings import Finding
from swath.annotations.tables import read_text, rows_of
from swath.errors import AnnotationError
from swath.inference.pdf_pages import PdfError, pages_of

LONGEST = 600
"""Characters of a passage at most: three of them and a question fit a small model's context."""

LARGEST_FILE = 64 << 20
"""Bytes of a document at most."""

MOST_PASSAGES = 200_000
"""Passages of one index at most; with more, a search over all of them is no longer quick."""

KIND = "unread document"
"""What findings about documents are called."""

_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)[\s#]*$")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})\s*$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？；])")
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Passage:
    """A few sentences of a document.

    Args:
        text: the words.
        file: the document, beginning with the name of the folder or file that was indexed.
        place: where in it, as "line 12", "page 3" or "row 7".
        title: the headings it stands under, "" without any.
    """

    text: str
    file: str
    place: str
    title: str = ""

    @property
    def words(self) -> str:
        """Headings and text, as they are searched and shown."""
        return f"{self.title}: {self.text}" if self.title else self.text

    @property
    def cited(self) -> str:
        """File and place, as an answer cites them."""
        heading = f", {self.title}" if self.title else ""
        return f"{self.file}{heading}, {self.place}"


def is_document(path: Path) -> bool:
    """Whether a file's name says that it is a document; hidden files are none."""
    return path.suffix.lower() in _READERS and not path.name.startswith(".")


def read_documents(source: Path, findings: list[Finding]) -> Iterator[Passage]:
    """The passages of a document, or of all documents below a folder, in the order of their names.

    Args:
        source: the document, or the folder.
        findings: what says which files are left out, as they cannot be read, are too large, or
            are links to elsewhere; added to while passages are taken.
    """
    root = absolute(source)
    files = [root] if root.is_file() else files_below(root)
    unknown: Counter[str] = Counter()
    for file in files:
        name = file.relative_to(root.parent).as_posix()
        if not is_document(file):
            if not is_picture(file) and not file.name.startswith("."):
                unknown[file.suffix.lower() or file.name] += 1
            continue
        problem = _problem(file, root)
        if problem:
            findings.append(_left_out(name, problem))
            continue
        read = _READERS[file.suffix.lower()]
        try:
            yield from read(file, name)
        except (AnnotationError, PdfError) as error:
            findings.append(_left_out(name, str(error)))
    if unknown:
        endings = ", ".join(f"{count} {ending}" for ending, count in unknown.most_common(5))
        problem = f"{endings}: of no kind that is read; save them as PDF or text"
        findings.append(_left_out(root.name, problem))


def _left_out(name: str, problem: str) -> Finding:
    return Finding(KIND, name, problem, "see that it is meant so", effect="left out")


def _problem(file: Path, root: Path) -> str:
    """Why a file is not even opened; "" where it is."""
    target = file.resolve()
    if file != root and not target.is_relative_to(root.resolve()):
        return "is a link to a file outside the folder; copy the file itself"
    if not target.is_file():
        return "is no file that can be read"
    size = target.stat().st_size
    if size > LARGEST_FILE:
        return f"has {size} bytes, more than {LARGEST_FILE}; split it"
    return ""


def _markdown(file: Path, name: str) -> Iterator[Passage]:
    """Passages under their headings; code between fences holds none."""
    headings: list[str] = []
    section: list[str] = []
    begins = 1
    fenced = False
    lines = read_text(file).splitlines()
    for number, line in enumerate(lines, start=1):
        if _FENCE.match(line):
            fenced = not fenced
        heading = _HEADING.match(line)
        underline = _UNDERLINE.match(line)
        if heading and not fenced:
            words = heading[2]
            depth = len(heading[1])
        elif underline and not fenced and section and section[-1].strip():
            words = section.pop().strip()  # the line above it is the heading
            depth = 1 if underline[1].startswith("=") else 2
        else:
            section.append(line)
            continue
        yield from _passages(section, name, begins, " > ".join(headings))
        headings[depth - 1 :] = [words]
        section = []
        begins = number + 1
    yield from _passages(section, name, begins, " > ".join(headings))


def _text(file: Path, name: str) -> Iterator[Passage]:
    yield from _passages(read_text(file).splitlines(), name, 1)


def _pdf(file: Path, name: str) -> Iterator[Passage]:
    for number, page in enumerate(pages_of(file), start=1):
        for _, text in _pieces(page.splitlines(), 1):
            yield Passage(text, name, f"page {number}")


def _table(file: Path, name: str) -> Iterator[Passage]:
    """A passage a row, each value behind its column's name."""
    for number, (_, row) in enumerate(rows_of(file), start=2):  # the header is row 1
        cells = [f"{column}: {value}" for column, value in row.items() if value]
        for _, text in _pieces(["; ".join(cells)], 1):
            yield Passage(text, name, f"row {number}")


_READERS = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".txt": _text,
    ".pdf": _pdf,
    ".csv": _table,
    ".tsv": _table,
}


def _passages(lines: list[str], name: str, begins: int, title: str = "") -> Iterator[Passage]:
    for line, text in _pieces(lines, begins):
        yield Passage(text, name, f"line {line}", title)


def _pieces(lines: list[str], begins: int) -> Iterator[tuple[int, str]]:
    """Paragraphs joined up to `LONGEST` characters, and the line each begins at."""
    piece = ""
    piece_line = begins
    for line, paragraph in _paragraphs(lines, begins):
        for sentence in _cut(paragraph):
            longer = f"{piece} {sentence}".strip()
            if piece and len(longer) > LONGEST:
                yield piece_line, piece
                longer = sentence
                piece = ""
            if not piece:
                piece_line = line
            piece = longer
    if piece:
        yield piece_line, piece


def _paragraphs(lines: list[str], begins: int) -> Iterator[tuple[int, str]]:
    """Words between empty lines as one line, and the number of its first."""
    paragraph: list[str] = []
    for number, line in enumerate([*lines, ""], start=begins):
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            joined = _BLANKS.sub(" ", " ".join(paragraph))
            yield number - len(paragraph), joined.strip()
            paragraph = []


def _cut(paragraph: str) -> Iterator[str]:
    """A paragraph whole if it is short, else its sentences, and of a long sentence pieces."""
    if len(paragraph) <= LONGEST:
        yield paragraph
        return
    for sentence in _SENTENCE_END.split(paragraph):
        for start in range(0, len(sentence), LONGEST):
            yield sentence[start : start + LONGEST]
