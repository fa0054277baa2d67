"""How far a scan is, for those who watch it."""

from __future__ import annotations

from pathlib import Path

from swath.inference.scenes.scan_journal import JOURNALS, PLANNED
from swath.serving.jobs.worker import Followed


class ScanProgress:
    """How far a scan is, from its folder alone, whoever works at it; each reading reads on.

    Args:
        folder: of the scan, or where its folder will be.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journals: dict[Path, Followed] = {}
        self._groups: dict[Path, dict[str, dict[str, int]]] = {}

    def read(self) -> dict[str, int]:
        """Tiles `planned`, `asked`, `skipped` and `failed` so far; none planned: not begun."""
        for path in self._folder.glob(JOURNALS):
            self._read_on(path)
        tally = dict.fromkeys((PLANNED, "asked", "skipped", "failed"), 0)
        for groups in self._groups.values():
            whole = groups.get(PLANNED, {PLANNED: 0})  # each shard tells of all of them
            tally[PLANNED] = max(tally[PLANNED], whole[PLANNED])
            for key, counts in groups.items():
                for name, count in counts.items() if key != PLANNED else ():
                    tally[name] += count
        return tally

    def _read_on(self, path: Path) -> None:
        rows, is_new = self._journals.setdefault(path, Followed(path)).read()
        groups = {} if is_new else self._groups.get(path, {})
        for row in rows:
            if "planned" in row:
                groups[PLANNED] = {PLANNED: row["planned"]}
            elif "tiles" in row:
                counts = {name: len(row[name]) for name in ("skipped", "failed")}
                groups[row["key"]] = {"asked": len(row["tiles"]), **counts}
        self._groups[path] = groups
