"""The tab Scene: a whole raster asked tile by tile, its progress, its map and its layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from swath.errors import RequestError
from swath.files import read_json
from swath.imagery.opening import open_scene
from swath.inference.scenes.scan_outputs import OVERVIEW, RECORD
from swath.serving.scans.scan_progress import ScanProgress
from swath.serving.studio.components import (
    canvas,
    canvas_of,
    command,
    model_choice,
    notice,
    source_row,
)
from swath.serving.studio.desk import Desk, listen
from swath.serving.studio.page_words import Words
from swath.serving.studio.recipe_form import lines_of
from swath.serving.studio.tabs.work_panel import Shown, work_panel

_MOST_ANSWERS = 3


def scene_tab(desk: Desk, words: Words, page: gr.Blocks) -> None:
    """Lay out the tab and let it answer."""
    with gr.Row():
        with gr.Column(scale=2):
            with gr.Row(equal_height=True):
                files, paths = source_row("scene", words("scene.upload"), words("scene.paths"))
            model = model_choice(words, "scene", desk.assistants.names())
            questions = gr.Textbox(
                label=words("scene.questions"),
                info=words("scene.questions_about"),
                placeholder=words("scene.example"),
                lines=3,
                elem_id="scene-questions",
            )
            classify = gr.Checkbox(label=words("scene.classify"), elem_id="scene-classify")
            area = gr.Textbox(
                label=words("scene.area"), info=words("scene.area_about"), elem_id="scene-area"
            )
            start = gr.Button(words("scene.start"), variant="primary", elem_id="scene-start")
            problem = notice("scene-notice")
            line = command(words("page.command"), "scene-command")
        with gr.Column(scale=3):
            progress: dict[Path, ScanProgress] = {}
            shown = Shown(
                "scene",
                words("scene.work"),
                RECORD,
                lambda folder: _facts(folder, progress, words),
                lambda: [canvas(words, "scene-overview")],
                lambda folder: [_overview(desk, folder)],
            )
            work = work_panel(desk, desk.scans, words, page, shown)

    def begin(typed: str, name: str, asked: str, map_too: bool, aoi: str) -> tuple[Any, ...]:
        sources = lines_of(typed)
        if len(sources) != 1:
            raise RequestError(words("scene.no_scene"))
        folder = desk.scans.new_folder(sources[0])
        arguments = ["--to", str(folder)]
        arguments += ["--classify"] if map_too else []
        arguments += ["--aoi", aoi.strip()] if aoi.strip() else []
        arguments += ["--", name, sources[0], *lines_of(asked)]
        begun = desk.scans.begin(folder, arguments)
        return gr.Dropdown(choices=desk.scans.names(), value=folder.name), begun

    listen([files.upload], desk.scans.kept, [files], [paths], problem)
    inputs = [paths, model, questions, classify, area]
    listen([start.click], begin, inputs, [work, line], problem)


def _overview(desk: Desk, folder: Path | None) -> dict[str, Any]:
    """The canvas with the scene and the results that are drawn on it."""
    if folder is None:
        return canvas_of([])
    path = folder / OVERVIEW
    address = desk.pictures.file_address(path)
    return canvas_of([{"src": address, "size_wh": open_scene(path).size_wh, "name": OVERVIEW}])


def _facts(folder: Path, progress: dict[Path, ScanProgress], words: Words) -> list[list[str]]:
    """How many tiles are done, and what each question found."""
    tally = progress.setdefault(folder, ScanProgress(folder)).read()
    rows = [[words("scene.tiles"), words("scene.tally", **tally)]] if tally["planned"] else []
    if (folder / RECORD).is_file():
        record = read_json(folder / RECORD)
        if not record["complete"]:
            rows.append([words("scene.tiles"), words("scene.incomplete")])
        for scene in record["scenes"]:
            rows += [[row["question"], _answer(row, words)] for row in scene.get("results", [])]
    return rows


def _answer(row: dict[str, Any], words: Words) -> str:
    """What a question found, as the record holds it."""
    if "count" in row:
        return words("scene.count", count=row["count"])
    if "classes" in row:
        seen = [(of["share"], of["class"]) for of in row["classes"] if of["share"]]
        parts = [f"{name} {share:.0%}" for share, name in sorted(seen, reverse=True)]
    else:
        commonest = row["commonest"][:_MOST_ANSWERS]
        parts = [words("scene.answer", **answer) for answer in commonest]
    return "\n".join(parts)
