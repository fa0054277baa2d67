"""A run's evaluated answers to click through: picture, boxes, truth and what each system said."""

from __future__ import annotations

from typing import Any

import gradio as gr

from swath.evaluation.report.gallery import answer_notes, answer_words, truth_words
from swath.instructions.tasks.truths import BoxesTruth
from swath.serving.studio.components import (
    canvas,
    canvas_of,
    command,
    conversation,
    facts,
    notice,
)
from swath.serving.studio.desk import Desk, choose_among, listen, needed
from swath.serving.studio.failure_desk import Row, Show
from swath.serving.studio.page_words import Words
from swath.serving.studio.work_desk import command_line

LOOK_S = 3.0
_MOST_ROWS = 200


def failures_panel(desk: Desk, words: Words, page: gr.Blocks) -> None:
    """Lay out the panel and let it answer."""
    with gr.Row(equal_height=True):
        run = gr.Dropdown(
            [], label=words("watch.run"), allow_custom_value=True, elem_id="failures-run", scale=2
        )
        task = gr.Dropdown([], label=words("review.task"), elem_id="failures-task", scale=1)
        show = gr.Dropdown(
            [(label, key) for key, label in words.group("failures.show").items()],
            value="failed",
            label=words("failures.which"),
            elem_id="failures-show",
            scale=2,
        )
        evaluate = gr.Button(words("failures.evaluate"), elem_id="failures-evaluate", scale=1)
    problem = notice("failures-notice")
    with gr.Row():
        with gr.Column(scale=1):
            count = facts("failures-count")
            rows = conversation("failures-rows")
        with gr.Column(scale=2):
            view = canvas(words, "failures-canvas")
            about = facts("failures-about")
    log = command(words("watch.log"), "failures-log")
    line = command(words("page.command"), "failures-command")
    timer = gr.Timer(LOOK_S)

    def evaluated(_: list[str]) -> str | None:
        return next(iter(desk.failures.names()), None)

    def choose(name: str | None) -> tuple[Any, ...]:
        if not name:
            return gr.skip(), gr.skip()
        tasks = desk.failures.tasks(name)
        path = str(desk.runs.home / name)
        return gr.Dropdown(choices=tasks, value=tasks[0]), command_line("report", [path])

    def listed(name: str | None, of_task: str | None, which: Show) -> tuple[Any, ...]:
        if not name or not of_task:
            return [], [], canvas_of([]), []
        questions = desk.failures.rows(name, of_task, which)
        number = words("failures.number", count=len(questions))
        lines = [_line(row) for row in questions[:_MOST_ROWS]]
        if not questions:
            return [[words("failures.which"), number]], lines, canvas_of([]), []
        first = questions[0]
        counted = [[words("failures.which"), number]]
        return counted, lines, _picture(desk, first), _facts(first, words)

    def look_at(name: str, of_task: str, which: Show, event: gr.EventData) -> tuple[Any, ...]:
        row = desk.failures.rows(name, of_task, which)[event.number]
        return _picture(desk, row), _facts(row, words)

    def begin(name: str | None) -> tuple[str, str]:
        run_name = needed(name, words("watch.none"))
        path = str(desk.runs.home / run_name)
        desk.runs.evaluate(run_name, [path])
        return words("failures.working"), command_line("evaluate", [path])

    def look(name: str | None, task_now: str | None) -> tuple[Any, ...]:
        if not name or name not in desk.runs.names():
            return gr.skip(), gr.skip()
        worker = desk.runs.evaluation(name)
        text = "\n".join(worker.last_words[-4:])
        fresh = not task_now and name in desk.failures.names() and not worker.alive
        return text, choose(name)[0] if fresh else gr.skip()

    chosen = [run, task, show]
    panel = [count, rows, view, about]
    choose_among(run, page, lambda: _runs(desk), evaluated)
    listen([run.change], choose, [run], [task, line], problem)
    listen([task.change, show.input], listed, chosen, panel, problem)
    listen([rows.select], look_at, chosen, [view, about], problem)
    listen([evaluate.click], begin, [run], [log, line], problem)
    listen([timer.tick], look, [run, task], [log, task])


def _runs(desk: Desk) -> list[str]:
    """All experiments, those first that were evaluated."""
    evaluated = desk.failures.names()
    return [*evaluated, *(name for name in desk.runs.names() if name not in evaluated)]


def _line(row: Row) -> dict[str, Any]:
    """A question in the list: its truth, and whether each system failed."""
    *_, (_, last) = row.items()
    signs = [f"{'✗' if answer.failed else '✓'} {system}" for system, answer in row.items()]
    prediction = last.prediction
    notes = [truth_words(prediction.truth, prediction.task), "   ".join(signs)]
    return {"who": "model", "text": prediction.question, "notes": notes}


def _picture(desk: Desk, row: Row) -> dict[str, Any]:
    """The canvas of a question: what is asked about, the truth, and every system's boxes."""
    *earlier, last = row.values()
    prediction = last.prediction
    boxes = [{"quad": quad, "style": "asked"} for quad in prediction.asked or []]
    if isinstance(prediction.truth, BoxesTruth):
        true_quads = prediction.truth.boxes.to_rows()
        boxes += [{"quad": quad, "style": "true"} for quad in true_quads]
    for answer in earlier:
        quads = answer.prediction.boxes or []
        boxes += [{"quad": quad, "style": "earlier"} for quad in quads]
    boxes += [{"quad": quad, "style": "answered"} for quad in prediction.boxes or []]
    picture = desk.pictures.row(prediction.image)
    picture["boxes"] = boxes
    return canvas_of([picture])


def _facts(row: Row, words: Words) -> list[list[str]]:
    *_, last = row.values()
    prediction = last.prediction
    rows = [
        [words("review.row"), prediction.id],
        [words("review.question"), prediction.question],
        [words("failures.truth"), truth_words(prediction.truth, prediction.task)],
    ]
    for system, answer in row.items():
        sign = "✗" if answer.failed else "✓"
        notes = ", ".join(answer_notes(answer))
        text = answer_words(answer.prediction)
        rows.append([f"{sign} {system}", f"{text}  ({notes})" if notes else text])
    return rows
