"""Models loaded together: runs whose adapters stand on one base share its weights in memory.

An adapter that shares its base is not merged into it, so each of its layers computes a little more.
Only one is active at a time: who asks such models asks them from one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from peft import PeftModel

from swath.files import RUN_FILE
from swath.models.loaded import Loaded
from swath.models.loading import AdapterRun, load, read_run


@dataclass(frozen=True)
class SharedAdapter:
    """An adapter among several on one base.

    Args:
        model: with all of them.
        name: of this one.
    """

    model: PeftModel
    name: str

    def active(self, computing: AbstractContextManager[Any]) -> AbstractContextManager[Any]:
        """A block in which this adapter is the active one, and `computing` holds."""
        return _Active(self, computing)


class _Active(AbstractContextManager[None]):
    def __init__(self, adapter: SharedAdapter, computing: AbstractContextManager[Any]) -> None:
        self._adapter, self._computing = adapter, computing

    def __enter__(self) -> None:
        model, name = self._adapter.model, self._adapter.name
        if model.active_adapter != name:
            model.set_adapter(name, inference_mode=True)
        self._computing.__enter__()

    def __exit__(self, *failure: Any) -> None:
        self._computing.__exit__(*failure)


def load_together(names: Sequence[Path | str]) -> list[Loaded]:
    """Models as `load` gives them, in order; adapters on one base share its weights.

    Raises:
        ModelError: one is not there or damaged.
    """
    groups: dict[Any, list[AdapterRun]] = {}
    for name in names:
        run = _adapter_run(name)
        if run is not None:
            groups.setdefault(_base_of(run), []).append(run)
    loaded: dict[str, Loaded] = {}
    for runs in groups.values():
        if len(runs) > 1:
            loaded |= _on_one_base(runs)
    return [loaded.get(str(Path(name))) or load(name) for name in names]


def _adapter_run(name: Path | str) -> AdapterRun | None:
    """A run with an adapter; None for every other model."""
    folder = Path(name)
    if not (folder / RUN_FILE).is_file() or not (folder / "adapter").is_dir():
        return None
    return read_run(folder)


def _base_of(run: AdapterRun) -> tuple[Any, ...]:
    """What two runs have in common if they stand on the same weights, loaded the same way."""
    random = run.recipe.seed if run.section.weights != "pretrained" else None
    section = run.section.model_dump_json()
    return (run.base, run.digest, section, run.recipe.imagery.image_px, random)


def _on_one_base(runs: Sequence[AdapterRun]) -> dict[str, Loaded]:
    base = runs[0].load_base()
    base = replace(base, base_digest=base.digest)  # of the weights without adapters
    model: Any = base.model
    loaded = {}
    for number, run in enumerate(runs):
        model = run.put_on(model, f"run{number}")
    model.eval()
    for number, run in enumerate(runs):
        loaded[str(run.folder)] = replace(
            base,
            model=model.get_base_model(),
            base=str(run.folder),
            imagery=run.recipe.imagery,
            system=run.system,
            adapter=SharedAdapter(model, f"run{number}"),
        )
    return loaded
