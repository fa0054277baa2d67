"""The tab Compare: base and tuned on one picture, and a run's failures."""

from __future__ import annotations

from typing import Any

import gradio as gr

from swath.errors import RequestError
from swath.inference.talk import Talk
from swath.models.loading import base_of
from swath.serving.studio.components import (
    canvas,
    canvas_of,
    command,
    conversation,
    notice,
    question_boxes,
    source_row,
)
from swath.serving.studio.desk import Desk, choose_among, listen, needed
from swath.serving.studio.page_words import Words
from swath.serving.studio.recipe_form import lines_of
from swath.serving.studio.tabs.failures_panel import failures_panel
from swath.serving.studio.talk_rows import boxes_of, command_of, rows_of

STYLES = ("earlier", "answered")
"""Outlines of the boxes of base and tuned."""


def compare_tab(desk: Desk, words: Words, page: gr.Blocks) -> None:
    """Lay out the tab and let it answer."""
    with gr.Row():
        with gr.Column(scale=3):
            with gr.Row(equal_height=True):
                files, paths = source_row("compare", words("chat.upload"), words("chat.paths"))
            view = canvas(words, "compare-canvas")
        with gr.Column(scale=2):
            run = gr.Dropdown(
                [], label=words("watch.run"), allow_custom_value=True, elem_id="compare-run"
            )
            question, choices = question_boxes(words, "compare")
            ask = gr.Button(words("compare.ask"), variant="primary", elem_id="compare-ask")
            problem = notice("compare-notice")
            answers = conversation("compare-answers")
            line = command(words("page.command"), "compare-command")
    failures_panel(desk, words, page)
    sources = gr.State([])

    def begin(chosen: list[str], name: str | None) -> tuple[Any, ...]:
        with desk.assistants.lock:
            assistant = desk.assistants.get(needed(name, words("compare.none")))
            talk = Talk.about(chosen, assistant)
        rows = [desk.pictures.row(path, assistant.rendering) for path in talk.pictures]
        return chosen, canvas_of(rows, 1), [], ""

    def begin_typed(typed: str, name: str | None) -> tuple[Any, ...]:
        return begin(lines_of(typed), name)

    def answer(
        chosen: list[str], drawing: dict[str, Any], name: str | None, text: str, possible: str
    ) -> tuple[Any, ...]:
        if not chosen:
            raise RequestError(words("chat.no_picture"))
        tuned = needed(name, words("compare.none"))
        systems = {words("compare.base"): base_of(tuned), words("compare.tuned"): tuned}
        rows: list[dict[str, Any]] = []
        boxes: list[dict[str, Any]] = []
        commands = []
        with desk.assistants.lock:
            for style, (title, system) in zip(STYLES, systems.items(), strict=True):
                assistant = desk.assistants.get(system)
                talk = Talk.about(chosen, assistant)
                talk = talk.asked(assistant, text, drawing["drawn"], lines_of(possible))
                asked_row, answer_row = rows_of(talk, words)
                rows += [asked_row] if not rows else []
                notes = [f"{title}: {system}", *answer_row["notes"]]
                rows.append({**answer_row, "notes": notes})
                boxes += _styled(boxes_of(talk, 0), style)
                commands.append(command_of(talk, system, words))
        first, *later = drawing["pictures"]
        pictures = [{**first, "boxes": boxes}, *later]
        return {**drawing, "pictures": pictures}, rows, "\n".join(commands)

    choose_among(run, page, desk.assistants.runs)
    fresh = [sources, view, answers, line]
    listen([files.upload], begin, [files, run], fresh, problem)
    listen([paths.submit, paths.blur], begin_typed, [paths, run], fresh, problem)
    listen(
        [ask.click, question.submit],
        answer,
        [sources, view, run, question, choices],
        [view, answers, line],
        problem,
        waiting=answers,
    )


def _styled(boxes: list[dict[str, Any]], style: str) -> list[dict[str, Any]]:
    """Boxes of an answer in a system's style; what was asked about keeps its own."""
    return [box if box["style"] == "asked" else {**box, "style": style} for box in boxes]
