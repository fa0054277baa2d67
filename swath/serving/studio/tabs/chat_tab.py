"""The tab Chat: pictures, a region drawn by hand, questions, and answers with their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from swath.errors import RequestError
from swath.inference.talk import Talk
from swath.serving.studio.components import (
    canvas,
    canvas_of,
    command,
    conversation,
    model_choice,
    notice,
    question_boxes,
    source_row,
)
from swath.serving.studio.desk import Desk, choose_among, listen
from swath.serving.studio.page_words import Words
from swath.serving.studio.recipe_form import lines_of
from swath.serving.studio.talk_rows import boxes_of, command_of, rows_of

ONE_REGION = 1


def chat_tab(desk: Desk, words: Words, page: gr.Blocks) -> None:
    """Lay out the tab and let it answer."""
    talk = gr.State(Talk())
    with gr.Row():
        with gr.Column(scale=3):
            with gr.Row(equal_height=True):
                files, paths = source_row("chat", words("chat.upload"), words("chat.paths"))
                show = gr.Button(words("chat.show"), elem_id="chat-show", scale=1)
            view = canvas(words, "chat-canvas")
        with gr.Column(scale=2):
            model = model_choice(words, "chat", desk.assistants.names())
            documents = gr.Dropdown(
                [],
                allow_custom_value=True,
                label=words("chat.documents"),
                info=words("chat.documents_about"),
                elem_id="chat-documents",
            )
            turns = conversation("chat-turns")
            question, choices = question_boxes(words, "chat")
            with gr.Row():
                ask = gr.Button(words("chat.ask"), variant="primary", elem_id="chat-ask")
                again = gr.Button(words("chat.again"), elem_id="chat-again")
            problem = notice("chat-notice")
            line = command(words("page.command"), "chat-command")

    def begin(sources: Sequence[str], name: str) -> tuple[Any, ...]:
        if not sources:
            return Talk(), canvas_of([]), [], ""
        with desk.assistants.lock:
            assistant = desk.assistants.get(name)
            talk = Talk.about(sources, assistant)
        rows = [desk.pictures.row(path, assistant.rendering) for path in talk.pictures]
        return talk, canvas_of(rows, ONE_REGION), [], ""

    def begin_typed(typed: str, name: str) -> tuple[Any, ...]:
        return begin(lines_of(typed), name)

    def begin_again(talk: Talk, name: str) -> tuple[Any, ...]:
        return begin(talk.sources, name)

    def answer(
        talk: Talk,
        drawing: dict[str, Any],
        name: str,
        folder: str | None,
        words_asked: str,
        possible: str,
    ) -> tuple[Any, ...]:
        if not talk.pictures:
            raise RequestError(words("chat.no_picture"))
        region = drawing["drawn"][:ONE_REGION]
        with desk.assistants.lock:
            assistant = desk.assistants.get(name)
            index = desk.assistants.index(folder, name) if folder else None
            talk = talk.asked(assistant, words_asked, region, lines_of(possible), index)
        latest = len(talk.exchanges) - 1
        return (
            talk,
            _with_boxes(drawing, talk, latest),
            rows_of(talk, words),
            command_of(talk, name, words, folder or ""),
            "",
        )

    def look_back(talk: Talk, drawing: dict[str, Any], event: gr.EventData) -> dict[str, Any]:
        return _with_boxes(drawing, talk, event.number // 2)

    def known() -> gr.Dropdown:
        return gr.Dropdown(choices=desk.assistants.names())

    listen([page.load, model.focus], known, [], [model])
    choose_among(documents, page, lambda: ["", *desk.assistants.indexes()])
    fresh = [talk, view, turns, line]
    listen([files.upload], begin, [files, model], fresh, problem, view)
    listen([show.click, paths.submit], begin_typed, [paths, model], fresh, problem, view)
    listen([again.click, model.change], begin_again, [talk, model], fresh, problem, view)
    listen(
        [ask.click, question.submit],
        answer,
        [talk, view, model, documents, question, choices],
        [talk, view, turns, line, question],
        problem,
        waiting=turns,
    )
    listen([turns.select], look_back, [talk, view], [view])


def _with_boxes(drawing: dict[str, Any], talk: Talk, number: int) -> dict[str, Any]:
    """The canvas with the boxes of one exchange, and nothing drawn by hand."""
    if number >= len(talk.exchanges):
        return drawing
    first, *later = drawing["pictures"]
    pictures = [{**first, "boxes": boxes_of(talk, number)}, *later]
    return {**drawing, "pictures": pictures, "at": 0, "drawn": []}
