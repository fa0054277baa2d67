"""A scan or comparison as it goes, beside the form: how it stands, and what it left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from swath.serving.studio.components import command, facts, notice, results
from swath.serving.studio.desk import Desk, choose_among, listen, needed
from swath.serving.studio.page_words import Words
from swath.serving.studio.work_desk import COMMAND, WorkDesk

LOOK_S = 2.0
"""Seconds between two looks at a work's files."""

MAP = "map.html"
_MOST_LINES = 6


@dataclass(frozen=True)
class Shown:
    """What a tab shows of its work, all of it read from files.

    Args:
        name: of the tab.
        label: of the choice of work.
        result: name of the file that is written last.
        facts: rows of a folder: how far it is, and what was found.
        views: components of the tab's own, in a function that lays them out.
        show: values of these of a folder; of no folder, empty ones.
    """

    name: str
    label: str
    result: str
    facts: Callable[[Path], list[list[str]]]
    views: Callable[[], list[gr.HTML]]
    show: Callable[[Path | None], list[Any]]


def work_panel(
    desk: Desk, works: WorkDesk, words: Words, page: gr.Blocks, shown: Shown
) -> gr.Dropdown:
    """Lay out the panel of a tab and let it answer; the choice of the work that it shows."""
    name = shown.name
    with gr.Row(equal_height=True):
        work = gr.Dropdown([], label=shown.label, elem_id=f"{name}-work", scale=3)
        stop = gr.Button(words("watch.stop"), elem_id=f"{name}-stop", interactive=False, scale=1)
        resume = gr.Button(
            words("watch.resume"), elem_id=f"{name}-resume", interactive=False, scale=1
        )
    problem = notice(f"{name}-panel-notice")
    status = facts(f"{name}-status")
    views = shown.views()
    files = results(f"{name}-results")
    log = command(words("watch.log"), f"{name}-log")
    line = command(words("page.command"), f"{name}-resumed")
    snapshot = gr.State({})  # what was read of the work's files when they were last shown
    timer = gr.Timer(LOOK_S)

    def end(chosen: str | None) -> tuple[()]:
        works.worker(needed(chosen, words("work.none"))).stop()
        return ()

    def go_on(chosen: str | None) -> str:
        return works.resume(needed(chosen, words("work.none")))

    def look(chosen: str | None, before: dict[str, Any]) -> tuple[Any, ...]:
        unchanged = [gr.skip()] * (len(views) + 5)
        if not chosen:
            return (*unchanged, before)
        folder = works.home / chosen
        now = _read(works, words, folder, shown)
        if now == before:
            return (*unchanged, before)
        values = [gr.skip()] * (len(views) + 1)
        if any(before.get(key) != now[key] for key in ("name", "result")):
            left = _left(desk, folder) if now["result"] else {}
            values = [*shown.show(folder if now["result"] else None), left]
        working = now["state"] == "working"
        buttons = [gr.Button(interactive=working), gr.Button(interactive=not working)]
        rows = [[words("watch.status"), now["words"]], *now["facts"]]
        return (rows, *values, "\n".join(now["log"]), *buttons, now)

    watched = [status, *views, files, log, stop, resume, snapshot]
    choose_among(work, page, works.names)
    listen([timer.tick, work.change], look, [work, snapshot], watched)
    listen([stop.click], end, [work], [], problem)
    listen([resume.click], go_on, [work], [line], problem)
    return work


def _read(works: WorkDesk, words: Words, folder: Path, shown: Shown) -> dict[str, Any]:
    """What the files of work say, in few words."""
    result = folder / shown.result
    state = works.state(folder.name, result)
    worker = works.worker(folder.name)
    is_over = state != "working" and result.is_file()
    return {
        "name": folder.name,
        "state": state,
        "words": words.group("work")[state].format(reason=worker.error),
        "facts": shown.facts(folder),
        "result": result.stat().st_mtime_ns if is_over else 0,
        "log": worker.last_words[-_MOST_LINES:],
    }


def _left(desk: Desk, folder: Path) -> dict[str, Any]:
    """Addresses of the map, if there is one, and of all files that may be wanted elsewhere."""
    hidden = (COMMAND, "worker.json", "worker.lock", "log.txt")
    paths = [path for path in sorted(folder.iterdir()) if path.is_file()]
    named = [
        (path.name, desk.pictures.file_address(path))
        for path in paths
        if path.name not in hidden and not path.name.startswith((".", "tiles"))
    ]
    return {"map": dict(named).get(MAP, ""), "files": named}
