"""A set's rows one by one: accepted, rejected, or corrected with boxes drawn by hand."""

from __future__ import annotations

from typing import Any, Literal

import gradio as gr

from swath.errors import RequestError
from swath.instructions.review import written
from swath.serving.studio.components import canvas, canvas_of, command, facts, notice
from swath.serving.studio.desk import Desk, choose_among, listen
from swath.serving.studio.page_words import Words
from swath.serving.studio.review_desk import (
    ReviewRow,
    asked_boxes,
    boxes_in,
    has_boxes,
    questions_of,
    with_boxes,
)
from swath.serving.studio.work_desk import command_line

MOST_BOXES = 100
_ALL = ""

Step = Literal["first", "back", "on", "open", "accept", "reject", "correct"]


def review_panel(desk: Desk, words: Words, page: gr.Blocks) -> None:
    """Lay out the panel and let it answer."""
    with gr.Row(equal_height=True):
        name = gr.Dropdown([], label=words("review.set"), elem_id="review-set", scale=2)
        task = gr.Dropdown([], label=words("review.task"), elem_id="review-task", scale=1)
        split = gr.Dropdown([], label=words("review.split"), elem_id="review-split", scale=1)
    with gr.Row():
        with gr.Column(scale=3):
            view = canvas(words, "review-canvas")
        with gr.Column(scale=2):
            about = facts("review-about")
            answer = gr.Textbox(
                label=words("review.answer"),
                info=words("review.answer_about"),
                lines=4,
                elem_id="review-answer",
            )
            with gr.Row():
                accept = gr.Button(
                    words("review.accept"), variant="primary", elem_id="review-accept"
                )
                reject = gr.Button(words("review.reject"), elem_id="review-reject")
                correct = gr.Button(words("review.correct"), elem_id="review-correct")
            with gr.Row():
                back = gr.Button(words("review.back"), elem_id="review-back", size="sm")
                on = gr.Button(words("review.on"), elem_id="review-on", size="sm")
                following = gr.Button(words("review.open"), elem_id="review-open", size="sm")
            problem = notice("review-notice")
            line = command(words("page.command"), "review-command")
    place = gr.State(0)

    def shown(row: ReviewRow, chosen: str) -> tuple[Any, ...]:
        """The row's place, picture, facts and answer."""
        return (
            row.place,
            _picture(desk, chosen, row),
            _facts(row, words),
            answer_text(row),
            command_line("review", [str(desk.reviews.home / chosen), "--terminal"]),
        )

    def choose(chosen: str | None) -> tuple[Any, ...]:
        if not chosen:
            return (*[gr.skip()] * 7,)
        counts = desk.reviews.counts(chosen)
        all_rows = (words("review.all"), _ALL)
        row = desk.reviews.row(chosen, _ALL, _ALL, 0, only_open=True)
        return (
            gr.Dropdown(choices=[all_rows, *counts["tasks"]], value=_ALL),
            gr.Dropdown(choices=[all_rows, *counts["splits"]], value=_ALL),
            *shown(row, chosen),
        )

    def step(way: Step) -> Any:
        """What a button does: judge the row or not, and go to another one."""

        def stepping(
            chosen: str | None, of_task: str | None, of_split: str | None, at: int, text: str
        ) -> tuple[Any, ...]:
            if not chosen:
                raise RequestError(words("review.none"))
            only = (chosen, of_task or _ALL, of_split or _ALL)
            if way in ("accept", "reject", "correct"):
                desk.reviews.judge(*only, at, way, text)
            places = {"first": 0, "back": at - 1, "on": at + 1}
            target = places.get(way, at if way == "open" else at + 1)
            row = desk.reviews.row(*only, target, only_open=way not in ("back", "on"))
            return shown(row, chosen)

        return stepping

    def drawn(text: str, drawing: dict[str, Any]) -> str:
        return with_boxes(text, drawing["drawn"]) if drawing["most"] else text

    def typed(text: str, drawing: dict[str, Any]) -> dict[str, Any]:
        return {**drawing, "drawn": boxes_in(text)} if drawing["most"] else drawing

    def first(names: list[str]) -> str | None:
        return desk.first if desk.first in names else next(iter(names), None)

    outputs = [place, view, about, answer, line]
    inputs = [name, task, split, place, answer]
    choose_among(name, page, desk.reviews.names, first)
    listen([name.change], choose, [name], [task, split, *outputs], problem)
    listen([task.input, split.input], step("first"), inputs, outputs, problem)
    steps: dict[Step, gr.Button] = {
        "accept": accept,
        "reject": reject,
        "correct": correct,
        "back": back,
        "on": on,
        "open": following,
    }
    for way, button in steps.items():
        listen([button.click], step(way), inputs, outputs, problem)
    listen([view.input], drawn, [answer, view], [answer], problem)
    listen([answer.blur], typed, [answer, view], [view], problem)


def answer_text(row: ReviewRow) -> str:
    """The answer as a person edits it, boxes as `[box ...]`."""
    return written(row.row.turns[-1])


def _picture(desk: Desk, name: str, row: ReviewRow) -> dict[str, Any]:
    """The row's pictures, what is asked about, and the answer's boxes to be drawn on."""
    rendering = desk.reviews.rendering(name)
    images = row.row.images
    pictures = [desk.pictures.row(image.path, rendering) for image in images]
    frame = row.row.frame
    regions = [{"quad": quad, "style": "asked"} for quad in asked_boxes(row.row)]
    if pictures:
        pictures[frame]["boxes"] = regions
    limit = MOST_BOXES if has_boxes(row.row) else 0
    drawing = canvas_of(pictures, limit, frame)
    return {**drawing, "drawn": boxes_in(answer_text(row))}


def _facts(row: ReviewRow, words: Words) -> list[list[str]]:
    verdict = words.group("review.verdict")[row.verdict or "none"]
    numbers = words("review.place", place=row.place + 1, count=row.count, done=row.done)
    return [
        [words("review.row"), f"{row.row.id}\n{numbers}"],
        [words("review.task"), f"{row.row.task}, {row.row.split}"],
        [words("review.question"), questions_of(row.row)],
        [words("review.said"), verdict],
    ]
