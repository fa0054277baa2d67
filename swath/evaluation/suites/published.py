"""Published numbers beside a user's own: only of a suite's protocol, unless all are asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

import yaml

from swath.evaluation.suites.table import Suite
from swath.files import Json

FILE = Path(__file__).parent.parent / "published.yaml"
_ABOUT = ("system", "source", "protocol", "note")


@dataclass(frozen=True)
class Published:
    """One system's numbers on a suite.

    Args:
        system: as its source calls it.
        source: where the numbers are printed.
        protocol: under which they were measured.
        note: what else differs.
        values: metric or kind of question to the number, as printed (x 100).
    """

    system: str
    source: str
    protocol: str
    note: str = ""
    values: dict[str, float] = field(default_factory=dict)

    def to_row(self) -> Json:
        """The numbers as a JSON object."""
        return {name: value for name, value in asdict(self).items() if value or name != "note"}


@cache
def _all() -> Json:
    return dict(yaml.safe_load(FILE.read_text("utf-8")))


def published(suite: Suite, every: bool = False) -> list[Published]:
    """What is published on a suite, in the order of the file.

    Args:
        every: of any protocol, and not only of the suite's.
    """
    table = _all()
    rows = []
    for row in table.get(suite.name, ()):
        if every or row["protocol"] == suite.protocol:
            source = table["sources"][row["source"]]
            values = {key: float(value) for key, value in row.items() if key not in _ABOUT}
            note = row.get("note", "")
            rows.append(Published(row["system"], source, row["protocol"], note, values))
    return rows
