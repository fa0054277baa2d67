"""A run as it goes, beside the form: how it stands, its losses, and what it answers."""

from __future__ import annotations

from typing import Any

import gradio as gr

from swath.serving.studio.components import (
    canvas,
    canvas_of,
    command,
    conversation,
    curve,
    facts,
    notice,
)
from swath.serving.studio.desk import Desk, choose_among, listen, needed
from swath.serving.studio.page_words import Words
from swath.serving.studio.run_desk import duration
from swath.serving.studio.work_desk import command_line

LOOK_S = 2.0
"""Seconds between two looks at a run's files."""

_MOST_ANSWERS = 12
_MOST_LINES = 6


def watch_panel(desk: Desk, words: Words, page: gr.Blocks) -> gr.Dropdown:
    """Lay out the panel and let it answer; the choice of the run that it shows."""
    with gr.Row(equal_height=True):
        run = gr.Dropdown(
            [], label=words("watch.run"), allow_custom_value=True, elem_id="watch-run", scale=3
        )
        stop = gr.Button(words("watch.stop"), elem_id="watch-stop", scale=1)
        resume = gr.Button(words("watch.resume"), elem_id="watch-resume", scale=1)
    problem = notice("watch-notice")
    status = facts("watch-status")
    losses = curve(words, "watch-curve")
    plan = facts("watch-plan")
    samples = canvas(words, "watch-samples")
    answers = conversation("watch-answers")
    log = command(words("watch.log"), "watch-log")
    line = command(words("page.command"), "watch-command")
    snapshot = gr.State({})  # what was read of the run's files when they were last shown
    timer = gr.Timer(LOOK_S)

    def end(name: str | None) -> str:
        chosen = needed(name, words("watch.none"))
        desk.runs.stop(chosen)
        return command_line("tune", desk.runs.arguments(chosen))

    def go_on(name: str | None) -> str:
        chosen = needed(name, words("watch.none"))
        desk.runs.resume(chosen)
        return command_line("tune", desk.runs.arguments(chosen))

    def look(name: str | None, before: dict[str, Any]) -> tuple[Any, ...]:
        if not name or name not in desk.runs.names():
            return (*[gr.skip()] * 8, before)
        now = _read(desk, words, name)
        same_run = before.get("run") == name

        def updated(key: str, value: Any) -> Any:
            """The value, made only where what it is made of has changed."""
            return gr.skip() if same_run and before[key] == now[key] else value()

        return (
            updated("status", lambda: [[words("watch.status"), now["status"]]]),
            updated("steps", lambda: desk.runs.losses(name).curve()),
            updated("plan", lambda: plan_rows(*desk.runs.plan(name), words)),
            updated("samples", lambda: _pictures(desk, name)),
            updated("samples", lambda: _answers(desk, name, 0, words)),
            updated("log", lambda: "\n".join(now["log"])),
            updated("at_work", lambda: gr.Button(interactive=now["at_work"])),
            updated("at_work", lambda: gr.Button(interactive=not now["at_work"])),
            now,
        )

    def choose(name: str, view: dict[str, Any]) -> list[dict[str, Any]]:
        return _answers(desk, name, view["at"], words)

    watched = [status, losses, plan, samples, answers, log, stop, resume, snapshot]
    choose_among(run, page, desk.runs.names)
    listen([timer.tick, run.change], look, [run, snapshot], watched)
    listen([stop.click], end, [run], [line], problem)
    listen([resume.click], go_on, [run], [line], problem)
    listen([samples.input], choose, [run, samples], [answers])
    return run


def plan_rows(
    working: bool, checked: dict[str, Any] | None, error: str | None, words: Words
) -> list[list[str]]:
    """What `swath check` says: images, findings, and what tuning would take."""
    if working:
        return [[words("plan.title"), words("plan.working")]]
    rows = []
    if checked is not None:
        images = [f"{split} {count}" for split, count in checked["images"].items()]
        rows.append([words("plan.images"), ", ".join(images)])
        rows.append([words("plan.findings"), str(len(checked["findings"]))])
        plan = checked["plan"] or {"stages": []}
        for stage in plan["stages"]:
            time = duration(stage["seconds"], words)
            text = words("plan.stage", steps=stage["steps"], time=time)
            rows.append([stage["name"], f"{text}; {_trained(stage['parts'])}"])
        if checked["plan"]:
            memory, disk = f"{plan['memory_mb']:,.0f}", f"{plan['disk_mb']:,.0f}"
            rows.append([words("plan.memory"), words("plan.megabytes", memory=memory, disk=disk)])
    if error is not None:
        rows.append([words("plan.title"), error])
    return rows


def _trained(parts: list[dict[str, Any]]) -> str:
    return ", ".join(f"{part['part']} {part['trained']:,}" for part in parts if part["trained"])


def _read(desk: Desk, words: Words, name: str) -> dict[str, Any]:
    """What a run's files say, in few words."""
    status = desk.runs.status(name, words)
    return {
        "run": name,
        "status": status.words,
        "at_work": status.at_work,
        "steps": desk.runs.losses(name).steps,
        "samples": len(desk.runs.samples(name)),
        "plan": desk.runs.plan(name),
        "log": desk.runs.worker(desk.runs.home / name).last_words[-_MOST_LINES:],
    }


def _latest(desk: Desk, name: str) -> list[dict[str, Any]]:
    """The samples of the last step."""
    rows = desk.runs.samples(name)
    if not rows:
        return []
    last = (rows[-1]["stage"], rows[-1]["step"])
    return [row for row in rows if (row["stage"], row["step"]) == last]


def _pictures(desk: Desk, name: str) -> dict[str, Any]:
    """The canvas of the last samples, true boxes and answered ones."""
    pictures = []
    for row in _latest(desk, name):
        boxes = []
        for style, key in (("asked", "asked"), ("true", "true"), ("answered", "boxes")):
            boxes += [{"quad": quad, "style": style} for quad in row[key]]
        pictures.append(
            {
                "src": desk.pictures.address(row["image"]),
                "size_wh": row["size_wh"],
                "name": row["id"],
                "boxes": boxes,
            }
        )
    return canvas_of(pictures)


def _answers(desk: Desk, name: str, place: int, words: Words) -> list[dict[str, Any]]:
    """A sample's question, its truth, and its answers step by step, the newest last."""
    latest = _latest(desk, name)
    if place >= len(latest):
        return []
    sample = latest[place]
    truth = words("watch.truth", truth=sample["truth"])
    rows: list[dict[str, Any]] = [{"who": "you", "text": sample["question"], "notes": [truth]}]
    of_question = [row for row in desk.runs.samples(name) if row["id"] == sample["id"]]
    for row in of_question[-_MOST_ANSWERS:]:
        note = words("watch.step", stage=row["stage"], step=row["step"])
        rows.append({"who": "model", "text": row["answer"], "notes": [note]})
    return rows
