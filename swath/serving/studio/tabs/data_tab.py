"""The tab Data: what a folder is, what is amiss in it, and a set's rows to accept or correct."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr

from swath.annotations.readers import recognise
from swath.recipes import load_recipe
from swath.serving.studio.components import (
    canvas,
    canvas_of,
    command,
    conversation,
    facts,
    notice,
)
from swath.serving.studio.desk import Desk, listen, needed
from swath.serving.studio.page_words import Words
from swath.serving.studio.tabs.review_panel import review_panel
from swath.serving.studio.work_desk import command_line

RECIPE = "quickstart-own"
"""The recipe by which a folder is looked at, before it has one of its own."""

LOOK_S = 2.0
_MOST_FINDINGS = 300


def data_tab(desk: Desk, words: Words, page: gr.Blocks) -> None:
    """Lay out the tab and let it answer."""
    with gr.Row():
        with gr.Column(scale=2):
            folder = gr.Textbox(
                label=words("data.folder"), info=words("data.folder_about"), elem_id="data-folder"
            )
            with gr.Row():
                read = gr.Button(words("data.read"), variant="primary", elem_id="data-read")
                build = gr.Button(words("data.build"), elem_id="data-build")
            problem = notice("data-notice")
            about = facts("data-about")
            line = command(words("page.command"), "data-command")
            log = command(words("watch.log"), "data-log")
        with gr.Column(scale=3):
            kind = gr.Dropdown([], label=words("data.kind"), elem_id="data-kind")
            with gr.Row():
                with gr.Column():
                    findings = conversation("data-findings")
                with gr.Column():
                    view = canvas(words, "data-canvas")
    chosen = gr.State("")  # the experiment in which the folder is looked at
    snapshot = gr.State({})
    timer = gr.Timer(LOOK_S)
    review_panel(desk, words, page)

    def settings_of(source: str) -> tuple[str, list[str]]:
        """The experiment of a folder, and the arguments by which verbs look at it."""
        path = Path(source.strip()).absolute()
        # Quoted, because an override is YAML and a folder may be called 2024.
        overrides = [
            f"name={json.dumps(path.name)}",
            f"annotations.source={json.dumps(str(path))}",
        ]
        recipe = load_recipe(RECIPE, overrides)
        return recipe.name, [RECIPE, *overrides, "--home", str(desk.runs.home)]

    def begin(source: str) -> tuple[Any, ...]:
        reader = recognise(Path(needed(source, words("data.no_folder"))))
        name, arguments = settings_of(source)
        arguments.append("--no-plan")
        desk.runs.check(name, arguments)
        format_rows = [[words("data.format"), f"{reader.name} ({reader.says})"]]
        return name, {"format": format_rows}, format_rows, command_line("check", arguments)

    def begin_build(source: str) -> tuple[Any, ...]:
        name, arguments = settings_of(needed(source, words("data.no_folder")))
        desk.runs.build(name, arguments)
        return name, command_line("build", arguments)

    def look(name: str, before: dict[str, Any]) -> tuple[Any, ...]:
        if not name:
            return (*[gr.skip()] * 4, before)
        working, checked, error = desk.runs.plan(name)
        worker = desk.runs.worker(desk.runs.home / name)
        last_words = worker.last_words[-3:]
        now = {**before, "working": working, "error": error, "log": last_words}
        if now == before:
            return (*[gr.skip()] * 4, before)
        rows = [*now.get("format", []), *_summary(working, checked, error, words)]
        if worker.error:
            rows.append([words("data.build"), worker.error])
        kinds = list(dict.fromkeys(row["kind"] for row in checked["findings"])) if checked else []
        choice = gr.Dropdown(choices=kinds, value=kinds[0] if kinds else None)
        listed = _rows(checked, kinds[0] if kinds else None)
        return rows, choice, listed, "\n".join(last_words), now

    def filtered(name: str, which: str | None) -> list[dict[str, Any]]:
        return _rows(desk.runs.plan(name)[1] if name else None, which)

    def show(name: str, which: str | None, event: gr.EventData) -> dict[str, Any]:
        checked = desk.runs.plan(name)[1]
        finding = _of_kind(checked, which)[event.number]
        image = (checked or {}).get("shown", {}).get(finding["where"])
        if image is None:
            return canvas_of([])
        picture = desk.pictures.row(image["path"])
        picture["boxes"] = [{"quad": quad, "style": "true"} for quad in image["boxes"]]
        return canvas_of([picture])

    listen([read.click, folder.submit], begin, [folder], [chosen, snapshot, about, line], problem)
    listen([build.click], begin_build, [folder], [chosen, line], problem)
    listen(
        [timer.tick, chosen.change],
        look,
        [chosen, snapshot],
        [about, kind, findings, log, snapshot],
    )
    listen([kind.input], filtered, [chosen, kind], [findings])
    listen([findings.select], show, [chosen, kind], [view], problem)


def _summary(
    working: bool, checked: dict[str, Any] | None, error: str | None, words: Words
) -> list[list[str]]:
    """Splits, leaks, findings by kind and licences, or why there are none."""
    if working:
        return [[words("plan.title"), words("data.working")]]
    rows = []
    if checked is not None:
        images = ", ".join(f"{split} {count}" for split, count in checked["images"].items())
        rows.append([words("plan.images"), images])
        rows.append([words("data.leaks"), str(checked["leaks"])])
        counts: dict[str, int] = {}
        for finding in checked["findings"]:
            counts[finding["kind"]] = counts.get(finding["kind"], 0) + 1
        listed = ", ".join(f"{kind} {count}" for kind, count in counts.items())
        rows.append([words("plan.findings"), listed or words("data.nothing")])
        licences = [f"{row['source']}: {row['licence']}" for row in checked["licences"]]
        rows.append([words("data.licences"), "\n".join([*licences, checked["use"]])])
    if error is not None:
        rows.append([words("plan.title"), error])
    return rows


def _of_kind(checked: dict[str, Any] | None, kind: str | None) -> list[dict[str, Any]]:
    findings = checked["findings"] if checked else []
    return [row for row in findings if kind in (None, row["kind"])][:_MOST_FINDINGS]


def _rows(checked: dict[str, Any] | None, kind: str | None) -> list[dict[str, Any]]:
    """Findings as the page lists them."""
    rows = []
    for finding in _of_kind(checked, kind):
        notes = [finding["what"], f"{finding['action']} ({finding['effect']})"]
        rows.append({"who": "model", "text": finding["where"], "notes": notes})
    return rows
