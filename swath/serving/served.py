"""`Served`: what a server holds, its models by name, its folder and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import Any

from swath.files import claim, lock
from swath.models.engine import LocalEngine
from swath.models.generating.rows import Rows
from swath.models.generating.schema import Grammar
from swath.models.loaded import Loaded
from swath.models.loading import load
from swath.models.shared_base import adapter_run, base_among, load_together, put_beside
from swath.serving.batching import Batching
from swath.serving.incoming import Fetch, Incoming
from swath.serving.protocol import Row, model_card, not_found, now


@dataclass(frozen=True)
class Limits:
    """What one request may ask for.

    Args:
        images: of a conversation.
        image_px: pixels of one picture.
        scene_px: pixels of a scene that is uploaded to be asked about; it is read smaller.
        new_tokens: of an answer.
        rows: answers in the making at the same time, of each model.
        waiting: answers that wait for their turn; more are turned away with status 429.
        choices: answers to one question (`n`).
    """

    images: int = 64
    image_px: int = 64_000_000
    scene_px: int = 1_000_000_000
    new_tokens: int = 4096
    rows: int = 16
    waiting: int = 256
    choices: int = 16


@dataclass(eq=False)
class ServedModel:
    """A model that answers by its name.

    Args:
        name: by which it is asked.
        path: the run or folder it was read from.
        engine: that asks it.
        created: seconds since 1970.
        job: id of the fine-tuning job that made it.
        root: name of the model that the job tuned.
        notes: further fields of its card, such as a name for people.
        reading: held while pictures and words are prepared for it.
    """

    name: str
    path: Path
    engine: LocalEngine
    created: int = field(default_factory=now)
    job: str | None = None
    root: str | None = None
    notes: Row = field(default_factory=dict)
    reading: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.rows = Rows(self.engine.inputs)

    @cached_property
    def words(self) -> Any:
        """The tokens that grammars choose among; made with the first schema."""
        return Grammar(self.engine.loaded, {"type": "object"}).tokens

    @property
    def card(self) -> Row:
        """The model as both clients read it."""
        longest = self.engine.loaded.longest
        return model_card(self.name, self.created, longest, self.job, self.root) | self.notes


class Served:
    """A server's models, folder and limits; `app.state.swath` of the application.

    Args:
        folder: where the server keeps files, jobs and batches; made if it is absent.
        limits: of requests.
        fetch: reads pictures at addresses; None refuses them.

    Raises:
        RequestError: the folder holds something that is not a server's, or another one runs on it.
    """

    def __init__(
        self, folder: Path, limits: Limits | None = None, fetch: Fetch | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.limits = limits or Limits()
        self.models: dict[str, ServedModel] = {}
        self._changing = Lock()
        claim(self.folder)
        refusal = (
            f"{self.folder}: another server runs on this folder; end it, or choose another folder "
            f"with --home."
        )
        self._lock = lock(self.folder / "server.lock", refusal)
        self.pictures = Incoming(self.folder / "pictures", self.limits.image_px, fetch)
        self.batching = Batching(self.limits.rows, self.limits.waiting)

    def add_model(
        self, name: str, path: Path | str, job: str | None = None, root: str | None = None
    ) -> ServedModel:
        """Serve a run, an exported folder or swath-nano by a name, at once.

        It takes the time of reading the weights; an adapter is put on its base where that is served
        already. A model that had the name goes on with the answers it has begun.

        Raises:
            ModelError: there is no such model, or it is damaged.
        """
        model = ServedModel(name, Path(path), LocalEngine(self._load(path)), job=job, root=root)
        with self._changing:
            self.models = self.models | {name: model}
        return model

    def add_models(self, paths: Mapping[str, Path | str]) -> None:
        """Serve several by their names; runs that are adapters on one base hold it once.

        Raises:
            ModelError: there is no such model, or it is damaged.
        """
        together = load_together(list(paths.values()))
        for (name, path), loaded in zip(paths.items(), together, strict=True):
            model = ServedModel(name, Path(path), LocalEngine(loaded))
            with self._changing:
                self.models = self.models | {name: model}

    def _load(self, path: Path | str) -> Loaded:
        run = adapter_run(path)
        if run is None:
            return load(path)
        base = base_among(run, [model.engine.loaded for model in self.models.values()])
        if base is None:
            return load(path)
        return self.batching.call(partial(put_beside, base, run)).result()

    def remove_model(self, name: str) -> None:
        """Serve a model no longer; its files stay.

        Raises:
            ServeError: there is none.
        """
        self.model(name)
        with self._changing:
            self.models = {key: model for key, model in self.models.items() if key != name}

    def model(self, name: str) -> ServedModel:
        """A model by its name.

        Raises:
            ServeError: status 404, there is none.
        """
        if name not in self.models:
            raise not_found("model", name)
        return self.models[name]

    def close(self) -> None:
        """Answer no more, and leave the folder to another server."""
        self.batching.close()
        self._lock.close()
