"""Models on one base: adapters that stand on the same weights share them in memory.

An adapter that shares its base is not merged into it, so each of its layers computes a little more.
Only one is active at a time: who asks such models asks them from one thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.files import RUN_FILE
from swath.models.loaded import Loaded, fitted, number_format
from swath.models.loading import AdapterRun, load, read_run

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass(eq=False)
class SharedBase:
    """Weights with adapters beside them.

    Args:
        model: with all of them.
        active: name of the adapter that computes, None while the weights compute alone; "" where
            that has to be said anew.
    """

    model: PeftModel
    active: str | None

    def activate(self, name: str | None) -> None:
        """Let an adapter compute, or none."""
        if name == self.active:
            return
        tuner: Any = self.model.base_model
        if name is None:
            tuner.disable_adapter_layers()
        else:
            tuner.enable_adapter_layers()
            self.model.set_adapter(name, inference_mode=True)
        self.active = name


@dataclass(frozen=True)
class SharedAdapter:
    """An adapter among several on one base.

    Args:
        shared: the base.
        name: of this one; None is the base without any.
        key: what all runs on this base have in common, see `_base_of`; None is a base that was
            loaded for itself.
    """

    shared: SharedBase
    name: str | None
    key: tuple[Any, ...] | None

    def active(self, computing: AbstractContextManager[Any]) -> AbstractContextManager[Any]:
        """A block in which this adapter is the active one, and `computing` holds."""
        return _Active(self, computing)


class _Active(AbstractContextManager[None]):
    def __init__(self, adapter: SharedAdapter, computing: AbstractContextManager[Any]) -> None:
        self._adapter, self._computing = adapter, computing

    def __enter__(self) -> None:
        self._adapter.shared.activate(self._adapter.name)
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
        run = adapter_run(name)
        if run is not None:
            groups.setdefault(_base_of(run), []).append(run)
    loaded: dict[str, Loaded] = {}
    for key, runs in groups.items():
        if len(runs) > 1:
            base = runs[0].load_base()
            for run in runs:
                loaded[str(run.folder)] = put_beside(base, run, key)
    return [loaded.get(str(Path(name))) or load(name) for name in names]


def adapter_run(name: Path | str) -> AdapterRun | None:
    """A run with an adapter; None for every other model."""
    folder = Path(name)
    if not (folder / RUN_FILE).is_file() or not (folder / "adapter").is_dir():
        return None
    return read_run(folder)


def base_among(run: AdapterRun, models: Iterable[Loaded]) -> Loaded | None:
    """The model that holds the weights a run's adapter stands on; None where none does."""
    key = _base_of(run)
    for model in models:
        adapter = model.adapter
        if isinstance(adapter, SharedAdapter) and adapter.key == key:
            return model
        alone = adapter is None or (isinstance(adapter, SharedAdapter) and adapter.key is None)
        if alone and _is_base(run, model):
            return model
    return None


def put_beside(base: Loaded, run: AdapterRun, key: tuple[Any, ...] | None = None) -> Loaded:
    """A run's model on weights that are in memory; the base goes on answering as it did.

    Nothing may compute with the base meanwhile. What the adapter takes in memory stays taken.

    Args:
        base: see `base_among`.
        run: whose adapter is put on it.
        key: see `SharedAdapter`; given where the base itself is not asked.

    Raises:
        ModelError: the adapter is damaged.
    """
    name = "run" + sha256(str(run.folder.absolute()).encode()).hexdigest()[:16]
    if not isinstance(base.adapter, SharedAdapter):
        base.base_digest = base.digest  # of the weights without adapters
        base.adapter = SharedAdapter(SharedBase(run.put_on(base.model, name), ""), None, key)
    adapter = base.adapter
    shared = adapter.shared
    if name not in shared.model.peft_config:
        run.put_on(shared.model, name)
        shared.active = ""
    shared.model.eval()
    model = shared.model.get_base_model()
    beside = fitted(replace(base, model=model), run.section, run.recipe.imagery)
    return replace(
        beside,
        base=str(run.folder),
        system=run.system,
        adapter=SharedAdapter(shared, name, adapter.key),
    )


def _is_base(run: AdapterRun, model: Loaded) -> bool:
    """Whether a model that was loaded for itself is what a run would load as its base."""
    section = run.section
    plain = (section.weights, section.quantize, section.template) == ("pretrained", "none", None)
    same_place = Path(run.base).absolute() == Path(model.base).absolute()
    return (
        plain
        and section.parts is None
        and same_place
        and model.quantized is None
        and model.dtype == number_format(section.dtype)
        and model.imagery.image_px == run.recipe.imagery.image_px
        and run.digest == model.digest
    )


def _base_of(run: AdapterRun) -> tuple[Any, ...]:
    """What two runs have in common if they stand on the same weights, loaded the same way."""
    random = run.recipe.seed if run.section.weights != "pretrained" else None
    section = run.section.model_dump_json(exclude={"longest", "dialect"})  # change no weights
    return (run.base, run.digest, section, run.recipe.imagery.image_px, random)
