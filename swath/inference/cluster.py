"""Scans on many machines: Ray gives groups of tiles to workers, each of which holds the model.

The journal stays with whoever scans: a worker that dies is started anew, and its groups with it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from swath.errors import ModelError, RequestError
from swath.imagery.raster import allow
from swath.imagery.scene import is_address
from swath.inference.scan import Answered, Asking, Job, ScanModel, TileGroups
from swath.inference.scenes.scan_scene import ScanSettings


def ray_workers(
    cluster: str,
    load: Callable[[], ScanModel],
    paths: Sequence[str],
    settings: ScanSettings,
    workers: int = 0,
) -> Asking:
    """Has a scan's groups of tiles asked by the workers of a Ray cluster, for `run_scan`.

    Args:
        cluster: "ray".
        load: gives the model, in each worker; it is pickled.
        paths: of the scenes, which each machine of the cluster has to reach under these names.
        settings: how they are looked at.
        workers: most at a time; 0: one a GPU of the cluster, or one a machine without.

    Raises:
        RequestError: another kind of cluster is named, or Ray is not installed.
    """
    if cluster != "ray":
        raise RequestError(f"--cluster {cluster}: the only kind is 'ray'.")
    if find_spec("ray") is None:
        raise RequestError(
            "--cluster ray needs Ray, which is not installed: pip install 'swath[cluster]'."
        )
    names = [path if is_address(path) else str(Path(path).absolute()) for path in paths]
    return partial(_asked_by_ray, _Setup(load, names, settings, str(Path.cwd())), workers)


@dataclass(frozen=True)
class _Setup:
    """What a worker begins with: `ray_workers` says of what, and in which folder."""

    load: Callable[[], ScanModel]
    paths: Sequence[str]
    settings: ScanSettings
    folder: str


def _asked_by_ray(setup: _Setup, workers: int, groups: TileGroups, jobs: Sequence[Job]) -> Answered:
    """Groups with their answers, in the order in which workers finish them.

    Raises:
        ModelError: the model fails in a worker; what is finished is kept.
    """
    import ray
    import ray.data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of it
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    gpus = int(ray.cluster_resources().get("GPU", 0))
    most = workers or gpus or len(ray.nodes())
    # A block a group: what a worker dies over is one group.
    rows = ray.data.range(len(jobs), override_num_blocks=len(jobs)).map(
        _Worker,
        fn_constructor_args=(setup, list(jobs)),
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
        num_gpus=1 if gpus else 0,
    )
    try:
        for row in rows.iter_rows():
            yield jobs[row["id"]], orjson.loads(row["answers"])
    except ray.exceptions.RayTaskError as error:
        raise ModelError(f"a worker of the cluster failed: {error.cause or error}") from error


class _Worker:
    """One process of the cluster, with the model in it."""

    def __init__(self, setup: _Setup, jobs: Sequence[Job]) -> None:
        os.chdir(setup.folder)  # files are named from there
        for path in setup.paths:
            if is_address(path):
                allow(path)  # as whoever scans has
        self._groups = TileGroups(setup.load(), setup.paths, setup.settings)
        self._jobs = jobs

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        number = int(row["id"])
        job = self._jobs[number]
        answers = self._groups.answered(job, self._groups.read(job))
        written = orjson.dumps(answers, option=orjson.OPT_SERIALIZE_NUMPY)
        return {"id": number, "answers": written}
