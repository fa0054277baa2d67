"""The licence ledger: what each source states, and what may be done with a model made from all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson
import yaml

from swath.annotations.image import AnnotatedImage
from swath.annotations.tables import beginning
from swath.errors import AnnotationError


@dataclass(frozen=True)
class Terms:
    """What a licence lets one do.

    Args:
        use: "any", "research" (not commercially) or "ask", where nobody knows.
        credit: whether the makers must be named.
        alike: whether what is made of it must carry the same licence.
    """

    use: str
    credit: bool = False
    alike: bool = False


UNKNOWN = Terms("ask")

_NAMED = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
ABOUT = {"datapackage.json", "dataset_info.json", "card.json"}
"""Files on a set as a whole."""

_FILES = ("LICENSE", "LICENCE", "COPYING")
_LINE = re.compile(r"^[\W_]*licen[cs]e[*_\s]*[:=][*_\s]*(?P<licence>\S.*?)[\s*_|]*$", re.I | re.M)
_READ = 8192  # bytes of a file that are looked at
_RANKS = {"any": 0, "research": 1, "ask": 2}
_VERDICTS = {
    "any": "Any use, commercial too",
    "research": "Research only, because of {}",
    "ask": "Not for publication before asking: no licence that is understood, or one that "
    "forbids changes, for {}",
}


def named(text: str) -> str | None:
    """The licence that a text is or names, as SPDX writes it; None for one that is not known."""
    words = " ".join(text.lower().split())
    name, _ = _matched(words)
    older = re.search(r"\b[1-3]\.[05]\b", words)
    if name and older and name.startswith("CC-BY"):
        return name.replace("4.0", older[0])
    return name


def terms(licence: str | None) -> Terms:
    """What a stated licence lets one do; what is not known has to be asked for."""
    return _matched(" ".join((licence or "").lower().split()))[1]


def _matched(words: str) -> tuple[str | None, Terms]:
    for name, row in _NAMED.items():
        if re.search(row["pattern"], words):
            return name, Terms(row["use"], row.get("credit", False), row.get("alike", False))
    return None, UNKNOWN


def licence_of(place: Path) -> str | None:
    """The licence that a set's folder states, None where no file says it so that we understand.

    Looked at are `LICENSE` and its like, the `license` of `datapackage.json`, `dataset_info.json`
    or `card.json`, and a line `license: ...` of `README.md`.

    Args:
        place: the set's folder, or a file in it.
    """
    folder = place if place.is_dir() else place.parent
    files = sorted(path for path in folder.glob("*") if path.is_file())
    for path in files:
        if path.stem.upper() in _FILES and (name := named(_text(path))):
            return name
    for path in files:
        if path.name in ABOUT and (stated := _stated(path)):
            return stated
    for path in files:
        if path.name.lower() == "readme.md" and (line := _LINE.search(_text(path))):
            return named(line["licence"])
    return None


def _stated(path: Path) -> str:
    """The licence that a file on a set names, "" where it names none."""
    try:
        content = orjson.loads(path.read_bytes())
    except (orjson.JSONDecodeError, OSError):
        return ""
    if not isinstance(content, dict):
        return ""
    stated = content.get("license") or content.get("licenses")
    if isinstance(stated, list):
        stated = " ".join(str(row.get("name", "")) for row in stated if isinstance(row, dict))
    return stated.strip() if isinstance(stated, str) else ""


def ledger(images: Iterable[AnnotatedImage]) -> list[dict[str, object]]:
    """A row for each source and licence in it: images, and what the licence lets one do."""
    counts = Counter((image.source or "(no source)", image.licence) for image in images)
    rows: list[dict[str, object]] = []
    for (source, licence), number in sorted(counts.items(), key=str):
        allowed = terms(licence)
        row = {"source": source, "licence": licence or "not stated", "images": number}
        use = {"use": allowed.use, "credit": allowed.credit, "share_alike": allowed.alike}
        rows.append(row | use)
    return rows


def verdict(rows: Iterable[dict[str, object]]) -> str:
    """In words what the result may be used for: what the narrowest of the licences allows."""
    rows = list(rows)
    narrowest = max((str(row["use"]) for row in rows), key=_RANKS.__getitem__, default="ask")
    names = dict.fromkeys(
        f"{row['source']} ({row['licence']})" for row in rows if row["use"] == narrowest
    )
    words = _VERDICTS[narrowest].format(", ".join(names))
    credited = sorted({str(row["source"]) for row in rows if row["credit"]})
    if credited and narrowest != "ask":
        words += f"; name the makers of {', '.join(credited)}"
    alike = sorted({str(row["licence"]) for row in rows if row["share_alike"]})
    if alike:
        words += f"; pass it on under {' and '.join(alike)} if it counts as made from the pictures"
    return f"{words}. This reads the licences' names, it is no legal advice."


def _text(path: Path) -> str:
    try:
        return beginning(path, _READ)
    except AnnotationError:
        return ""
