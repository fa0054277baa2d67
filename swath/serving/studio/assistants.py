"""The models that the page can ask: found in its folder, loaded once, asked one at a time."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import RLock

from swath.errors import FormatError
from swath.files import BASE_OF, RUN_FILE, read_json
from swath.inference.ask import Assistant
from swath.inference.retrieval import CARD, Index, open_index, passages_of

NANO = "swath-nano"
_MOST = 2  # models in memory: a base and what was tuned of it


class Assistants:
    """Models by name.

    Args:
        home: folder of the experiments.

    `lock` is held while one is loaded or asked: they share the machine's memory and cores.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.lock = RLock()
        self._opened: tuple[tuple[str, str, int], Index] | None = None
        self._loaded: OrderedDict[tuple[str, int], Assistant] = OrderedDict()

    def names(self) -> list[str]:
        """What can be asked: finished runs, the latest first, and the embedded model."""
        return [*self.runs(), NANO]

    def runs(self) -> list[str]:
        """Finished runs, the latest first."""
        files = sorted(self.home.glob(f"*/{RUN_FILE}"), key=_changed_ns, reverse=True)
        return [str(file.parent) for file in files if _is_finished(file)]

    def indexes(self) -> list[str]:
        """Indexes of documents in the folder, the latest first."""
        cards = sorted(self.home.glob(f"*/{CARD}"), key=_changed_ns, reverse=True)
        return [str(card.parent) for card in cards]

    def index(self, folder: str, model: str) -> Index:
        """An index of documents, with as many passages as the model was tuned with.

        Raises:
            FormatError: it is absent or damaged.
        """
        card = Path(folder) / CARD
        key = (folder, model, _changed_ns(card) if card.is_file() else 0)
        with self.lock:
            if self._opened is None or self._opened[0] != key:
                self._opened = (key, open_index(folder, passages_of(model)))
            return self._opened[1]

    def get(self, name: str) -> Assistant:
        """The model of a name, loaded if it is not, or has been tuned anew.

        Raises:
            ModelError: there is no such model, or it is damaged.
        """
        run = Path(name.removeprefix(BASE_OF)) / RUN_FILE
        key = (name, _changed_ns(run) if run.is_file() else 0)
        with self.lock:
            if key not in self._loaded:
                while len(self._loaded) >= _MOST:
                    self._loaded.popitem(last=False)
                self._loaded[key] = Assistant(name)
            self._loaded.move_to_end(key)
            return self._loaded[key]


def _changed_ns(path: Path) -> int:
    return path.stat().st_mtime_ns


def _is_finished(run: Path) -> bool:
    try:
        return bool(read_json(run).get("finished"))
    except FormatError:
        return False
