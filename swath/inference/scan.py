"""`scan`: a whole scene asked tile by tile, so that its answers become objects, maps and counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from swath.endpoint import digest
from swath.errors import ImageryError, RequestError
from swath.files import claim
from swath.imagery.opening import open_scene
from swath.imagery.regridding import open_on_grid
from swath.imagery.rendering import PLAIN
from swath.inference.calibration import UNCALIBRATED, Calibration
from swath.inference.mapping.class_map import class_map
from swath.inference.scenes.scan_journal import (
    PLANNED,
    ScanJournal,
    forget,
    shard_bounds,
)
from swath.inference.scenes.scan_questions import ScanQuestion
from swath.inference.scenes.scan_results import Found, found_objects, tile_words
from swath.inference.scenes.scan_scene import (
    ScannedScene,
    ScanSettings,
    opened_scene,
    signature,
)
from swath.inference.scenes.tile_asking import TileAsker
from swath.inference.scenes.tile_plan import CellPlan, TunedOn
from swath.inference.scenes.tile_reading import TileRead, TileReader, TileStore, ahead
from swath.models.engine import LocalEngine
from swath.models.remote import RemoteEngine
from swath.recipe import Rendering

GROUP = 32
"""Tiles that are asked about together and finished together, whoever asks them and when: a model's
numbers depend a little on what stands in one batch."""

REMOTE_PX = 512
"""Side of a tile for a model elsewhere, of which nobody knows what it was tuned on."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ScanModel:
    """Who is asked.

    Args:
        name: as the user names it.
        identity: a hash of what makes it answer as it does.
        tuned: the pictures it was tuned on.
        rendering: how it is shown what a raster holds.
        asker: asks it.
        store: holds pixels for a model in this process; None for one elsewhere.
        calibrations: of its confidence, by the task of a question.
    """

    name: str
    identity: str
    tuned: TunedOn
    rendering: Rendering
    asker: TileAsker
    store: TileStore | None = None
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)

    def calibration(self, question: ScanQuestion) -> Calibration:
        """Of its confidence in the answers to a question."""
        return self.calibrations.get(question.task, UNCALIBRATED)


def scan_model(
    name: str,
    engine: LocalEngine | RemoteEngine,
    questions: Sequence[ScanQuestion],
    instruction: str = "",
    rendering: Rendering = PLAIN,
) -> ScanModel:
    """A model that is asked these questions of each tile.

    Args:
        name: of a run, a folder, or an address.
        engine: of the model.
        questions: see `scan_questions`.
        instruction: that it was tuned with, "" without one.
        rendering: how it is shown what a raster holds.
    """
    if isinstance(engine, RemoteEngine):
        asker = TileAsker(engine, questions, instruction)
        return ScanModel(name, digest([name, instruction]), TunedOn(REMOTE_PX), rendering, asker)
    loaded = engine.loaded
    store = engine.store = TileStore(engine.store, GROUP)
    engine.batch_size = GROUP  # whatever it was: other batches give numbers that differ a little
    asker = TileAsker(engine, questions, instruction)
    tuned = TunedOn.of_run(name, loaded.image_size)
    family = [loaded.family.dialect, loaded.family.regions, loaded.tokenizer.chat_template]
    imagery = loaded.imagery.model_dump(mode="json")
    identity = digest([loaded.digest, family, imagery, instruction])
    tasks = {question.task for question in questions if question.boxed or question.choices}
    calibrations = {task: Calibration.of_run(name, task) for task in sorted(tasks)}
    return ScanModel(name, identity, tuned, rendering, asker, store, calibrations)


@dataclass(eq=False)
class Scan:
    """A scan and its results.

    Args:
        model: who was asked.
        questions: what was asked.
        settings: how the scenes were looked at.
        scenes: in their order.
    """

    model: ScanModel
    questions: Sequence[ScanQuestion]
    settings: ScanSettings
    scenes: list[ScannedScene]

    @property
    def complete(self) -> bool:
        """Whether every tile of every scene was asked or skipped for a reason."""
        tallies = [scene.tally for scene in self.scenes]
        failed = any(scene.scene is None for scene in self.scenes)
        return not failed and not any(tally.failed or tally.waiting for tally in tallies)

    @property
    def results(self) -> list[Found]:
        """All results, scene by scene, in the order of the questions."""
        return [result for scene in self.scenes for result in scene.results]

    def to_row(self) -> dict[str, Any]:
        """The scan as `scan.json` holds it."""
        return {
            "complete": self.complete,
            "model": self.model.name,
            "identity": self.model.identity,
            "rendering": self.model.rendering.model_dump(mode="json"),
            "questions": [question.to_row() for question in self.questions],
            "settings": self.settings.to_row(),
            "scenes": [scene.to_row() for scene in self.scenes],
        }


@dataclass(frozen=True)
class Job:
    """A group of tiles of one plan of one scene."""

    scene: int
    plan: str
    group: int

    @property
    def key(self) -> str:
        """Under which its answers are kept."""
        return f"scene {self.scene} {self.plan} {self.group}"


class TileGroups:
    """The groups of tiles of some scenes, read and asked one by one.

    Args:
        model: who is asked.
        paths: files or addresses of scenes.
        settings: how they are looked at.
    """

    def __init__(self, model: ScanModel, paths: Sequence[str], settings: ScanSettings) -> None:
        self.model = model
        plans = {question.plan for question in model.asker.questions}
        self.scenes = [opened_scene(path, model.tuned, settings, plans) for path in paths]
        self._mask = settings.mask
        self._readers: dict[int, TileReader] = {}

    def jobs(self) -> Iterator[Job]:
        """All groups, scene by scene."""
        for number, scene in enumerate(self.scenes):
            if scene.area is not None and scene.area.is_empty:
                continue
            for name, plan in scene.plans.items():
                for group in range(-(-len(plan) // GROUP)):
                    yield Job(number, name, group)

    def read(self, job: Job) -> list[TileRead]:
        """The tiles of a group."""
        plan = self.scenes[job.scene].plans[job.plan]
        numbers = range(job.group * GROUP, min((job.group + 1) * GROUP, len(plan)))
        reader = self._reader(job.scene)
        return [reader.read(plan, number) for number in numbers]

    def answered(self, job: Job, tiles: Sequence[TileRead]) -> dict[str, Any]:
        """A group's answers, and why other tiles of it have none, as the journal holds them."""
        readable = [tile for tile in tiles if not tile.skipped and not tile.failed]
        asker = self.model.asker
        places = [n for n, question in enumerate(asker.questions) if question.plan == job.plan]
        answers = asker.of(places).answers(readable) if readable else {}
        return {
            "tiles": {str(number): rows for number, rows in answers.items()},
            "skipped": {str(tile.number): tile.skipped for tile in tiles if tile.skipped},
            "failed": {str(tile.number): tile.failed for tile in tiles if tile.failed},
        }

    def _reader(self, number: int) -> TileReader:
        if number not in self._readers:
            scanned = self.scenes[number]
            assert scanned.scene is not None
            mask = None
            if self._mask is not None:
                mask = open_on_grid(open_scene(self._mask), scanned.scene)
            self._readers[number] = TileReader(
                scene=scanned.scene,
                path=scanned.path,
                rendering=self.model.rendering,
                store=self.model.store,
                area=scanned.area,
                mask=mask,
            )
        return self._readers[number]


Answered = Iterator[tuple[Job, dict[str, Any]]]
"""Groups with their answers."""

Asking = Callable[[TileGroups, Sequence[Job]], Answered]
"""Has groups of tiles asked, and gives them back in any order."""


def asked_here(groups: TileGroups, jobs: Sequence[Job]) -> Answered:
    """Groups asked in this process, one after the other, the next one being read meanwhile."""
    for job, tiles in ahead(groups.read, jobs):
        yield job, groups.answered(job, tiles)


def run_scan(
    model: ScanModel,
    paths: Sequence[str],
    settings: ScanSettings,
    folder: Path | None = None,
    shard: str | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
    ask: Asking = asked_here,
) -> Scan:
    """Ask a model about scenes; what was stopped goes on, and what failed is asked again.

    Args:
        model: who is asked what.
        paths: files or addresses of scenes.
        settings: how they are looked at.
        folder: keeps what is finished; None keeps it in memory alone.
        shard: "2/8" asks the second eighth and leaves the others waiting.
        fresh: forget what the folder holds.
        progress: called with groups of tiles finished and in all.
        ask: has the tiles asked; see `swath.inference.cluster`.

    Raises:
        RequestError: the folder holds another scan, or the area lies elsewhere.
        ImageryError: the only scene cannot be opened, or one changed while it was scanned.
        EndpointError: a model elsewhere stays away; what is finished is kept.
    """
    questions = model.asker.questions
    rows = [question.to_row() for question in questions]
    fingerprint = digest([model.identity, rows, settings.to_row(), list(paths)])
    groups = TileGroups(model, paths, settings)
    scenes = groups.scenes
    _refuse_nothing(scenes, settings)
    if folder is not None:
        claim(folder)
        if fresh:
            forget(folder)
    journal = ScanJournal(folder, fingerprint, shard)
    try:
        _check_unchanged(scenes, journal)
        jobs = list(groups.jobs())
        if PLANNED not in journal:
            tiles = sum(len(scenes[job.scene].plans[job.plan]) for job in jobs if not job.group)
            journal.put(PLANNED, {"planned": tiles})
        first, last = shard_bounds(shard, len(jobs))
        _ask_all(groups, ask, journal, jobs[first:last], progress)
        for number, scene in enumerate(scenes):
            _collect(scene, model, journal, [job for job in jobs if job.scene == number])
    finally:
        journal.close()
    return Scan(model, questions, settings, scenes)


def _refuse_nothing(scenes: Sequence[ScannedScene], settings: ScanSettings) -> None:
    """Refuse what could only give nothing, before a folder is taken for it."""
    if len(scenes) == 1 and scenes[0].scene is None:
        raise ImageryError(scenes[0].failure)
    opened = [scene for scene in scenes if scene.scene is not None]
    if settings.aoi and all(scene.area.is_empty for scene in opened):
        raise RequestError(
            f"{settings.aoi}: lies outside {scenes[0].path}"
            f"{' and the other scenes' if len(scenes) > 1 else ''}; is it the right place?"
        )


def _check_unchanged(scenes: Sequence[ScannedScene], journal: ScanJournal) -> None:
    """Refuse scenes that are others than they were when their scan began."""
    for number, scene in enumerate(scenes):
        if scene.scene is None:
            continue
        key = f"scene {number}"
        if key not in journal:
            journal.put(key, {"signature": signature(scene.path)})
        elif journal.get(key)["signature"] != signature(scene.path):
            raise RequestError(
                f"{scene.path}: has changed since its scan began; scan it anew with --fresh."
            )


def _ask_all(
    groups: TileGroups,
    ask: Asking,
    journal: ScanJournal,
    jobs: Sequence[Job],
    progress: Progress | None,
) -> None:
    """Ask the groups of tiles that are not finished, each kept as soon as it is."""
    waiting = [job for job in jobs if not journal.finished(job.key)]
    done = len(jobs) - len(waiting)
    if progress is not None:
        progress(done, len(jobs))
    if not waiting:
        return
    for job, row in ask(groups, waiting):
        journal.put(job.key, row)
        path = groups.scenes[job.scene].path
        if journal.get(f"scene {job.scene}")["signature"] != signature(path):
            raise ImageryError(f"{path}: changed while it was scanned; scan it anew with --fresh.")
        done += 1
        if progress is not None:
            progress(done, len(jobs))


def _collect(
    scene: ScannedScene, model: ScanModel, journal: ScanJournal, jobs: Sequence[Job]
) -> None:
    """Fill in a scene's tally and results from what the journal holds."""
    if scene.scene is None:
        return
    for job in jobs:
        plan = scene.plans[job.plan]
        planned = min(GROUP, len(plan) - job.group * GROUP)
        row = journal.get(job.key) if job.key in journal else None
        scene.tally.add(plan, planned, row)
    questions = model.asker.questions
    for question in questions:
        siblings = [sibling for sibling in questions if sibling.plan == question.plan]
        place = siblings.index(question)
        of_plan = [job for job in jobs if job.plan == question.plan]
        answers = partial(_answers, journal, of_plan, place)
        plan = scene.plans[question.plan]
        how = (scene.area, model.calibration(question))
        if question.boxed:
            scene.results.append(found_objects(question, scene.scene, plan, answers(), *how))
        elif isinstance(plan, CellPlan):
            scene.results.append(class_map(question, scene.scene, plan, answers, *how))
        else:
            scene.results.append(tile_words(question, plan, answers()))


def _answers(
    journal: ScanJournal, jobs: Sequence[Job], place: int, first: int = 0, last: int | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbers of tiles from first to last, and each one's answer to a question of their plan.

    The journal's file has to stay as long as they are taken.
    """
    end = None if last is None else -(-last // GROUP)
    for job in jobs[first // GROUP : end]:
        if job.key in journal:
            for number, rows in journal.get(job.key)["tiles"].items():
                if int(number) >= first and (last is None or int(number) < last):
                    yield int(number), rows[place]
