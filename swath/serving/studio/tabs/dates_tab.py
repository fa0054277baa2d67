"""The tab Two dates: what has changed between two pictures of a place."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import gradio as gr

from swath.errors import RequestError
from swath.files import read_json
from swath.inference.two_dates.alignment import LIMIT_PX
from swath.inference.two_dates.change_outputs import changes_in, dates_on
from swath.serving.studio.components import (
    command,
    conversation,
    model_choice,
    notice,
    slider,
    source_row,
)
from swath.serving.studio.desk import Desk, listen
from swath.serving.studio.page_words import Words
from swath.serving.studio.recipe_form import lines_of
from swath.serving.studio.tabs.work_panel import Shown, work_panel

LAYER, SHEET, RECORD = "change.gpkg", "change.png", "change.json"
"""Of `swath compare`; the sheet is written last."""

_MOST_CHANGES = 200


def dates_tab(desk: Desk, words: Words, page: gr.Blocks) -> None:
    """Lay out the tab and let it answer."""
    with gr.Row():
        with gr.Column(scale=2):
            with gr.Row(equal_height=True):
                files, paths = source_row("dates", words("dates.upload"), words("dates.paths"))
            model = model_choice(words, "dates", desk.assistants.names())
            question = gr.Textbox(
                label=words("dates.question"),
                info=words("dates.question_about"),
                elem_id="dates-question",
            )
            limit = gr.Number(
                LIMIT_PX, label=words("dates.limit"), minimum=0, elem_id="dates-limit"
            )
            align = gr.Checkbox(label=words("dates.align"), elem_id="dates-align")
            start = gr.Button(words("dates.start"), variant="primary", elem_id="dates-start")
            problem = notice("dates-notice")
            line = command(words("page.command"), "dates-command")
        with gr.Column(scale=3):
            shown = Shown(
                "dates",
                words("dates.work"),
                SHEET,
                lambda folder: _facts(folder, words),
                lambda: [slider(words, "dates-slider"), conversation("dates-changes")],
                lambda folder: _views(folder, words),
            )
            work = work_panel(desk, desk.comparisons, words, page, shown)

    def begin(typed: str, name: str, asked: str, most_px: float, move: bool) -> tuple[Any, ...]:
        sources = lines_of(typed)
        if len(sources) != 2:
            raise RequestError(words("dates.not_two"))
        folder = desk.comparisons.new_folder(sources[1])
        arguments = ["--to", str(folder / LAYER), "--limit", f"{most_px:g}"]
        arguments += ["--align"] if move else []
        arguments += ["--", name, *sources, *lines_of(asked)]
        begun = desk.comparisons.begin(folder, arguments)
        return gr.Dropdown(choices=desk.comparisons.names(), value=folder.name), begun

    listen([files.upload], desk.comparisons.kept, [files], [paths], problem)
    inputs = [paths, model, question, limit, align]
    listen([start.click], begin, inputs, [work, line], problem)


def _views(folder: Path | None, words: Words) -> list[Any]:
    """Both dates for the slider, and the changes as the page lists them."""
    if folder is None:
        return [{}, []]
    before, after = [_address(picture) for picture in dates_on(folder / SHEET)]
    rows = []
    changes = changes_in(folder / LAYER)
    for change in changes[:_MOST_CHANGES]:
        sure = change["confidence"]
        notes = [words("chat.pixels", corners=change["quad_px"])]
        text = f"{change['id']}  {change['class']}" + ("" if sure is None else f"  {sure:.0%}")
        rows.append({"who": "model", "text": text, "notes": notes})
    if len(changes) > _MOST_CHANGES:
        text = words("dates.more", count=len(changes) - _MOST_CHANGES, file=LAYER)
        rows.append({"who": "model", "text": text, "notes": []})
    return [{"before": before, "after": after}, rows]


def _address(picture: Any) -> str:
    """A picture within the page itself."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _facts(folder: Path, words: Words) -> list[list[str]]:
    """What was compared and what came of it, as the record holds it."""
    if not (folder / RECORD).is_file():
        return []
    row = read_json(folder / RECORD)
    planned = len(row["tiles"] or row["counted"])
    rows = [
        [words("scene.tiles"), words("scene.tally", planned=planned, **row)],
        [words("dates.shift"), _shift(row["shift"], words)],
    ]
    if row["shift_after_moving"]:
        rows.append([words("dates.moved"), _shift(row["shift_after_moving"], words)])
    rows.append([words("dates.changes"), str(row["changes"])])
    if row["caption"]:
        rows.append([words("dates.caption"), row["caption"]])
    if row["damage"]:
        counts = [f"{key} {count}" for key, count in row["damage"].items()]
        rows.append([words("dates.damage"), ", ".join(counts)])
    return rows


def _shift(row: dict[str, float] | None, words: Words) -> str:
    if row is None:
        return words("dates.no_shift")
    text = words("dates.pixels", right=row["right_px"], down=row["down_px"])
    return text if "length_m" not in row else f"{text} ({row['length_m']:.3g} m)"
