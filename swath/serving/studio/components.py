"""The page's own components: a picture to draw on, a conversation, lines of text.

Each is a script of `scripts/` in a `gr.HTML` whose template never changes. Gradio evaluates a
filled template as JavaScript, so a value may not stand in one; the scripts put values into the
page as text.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr

from swath.serving.studio.page_words import Words

_SCRIPTS = Path(__file__).with_name("scripts")
STYLE = _SCRIPTS / "studio.css"

Canvas = dict[str, Any]
"""A canvas' value: `pictures`, rows of `src`, `size_wh`, `name` and `boxes`; `at`, the one shown;
`frame`, the one that is drawn on; `drawn`, rows of eight pixel values that a person drew there;
`most`, how many may be drawn."""


def head(title: str, about: str, other: str, link: str) -> gr.HTML:
    """The page's title, what it is about, and the way to its other language."""
    return _component("head", "head", "", title=title, about=about, other=other, link=link)


def canvas(words: Words, elem_id: str) -> gr.HTML:
    """A picture with boxes, on which oriented boxes are drawn."""
    return _component("canvas", elem_id, canvas_of([]), words=words.group("canvas"))


def canvas_of(pictures: list[dict[str, Any]], most: int = 0, frame: int = 0) -> Canvas:
    """A canvas that shows some pictures, and takes so many boxes drawn by hand on one of them."""
    return {"pictures": pictures, "at": frame, "frame": frame, "drawn": [], "most": most}


def conversation(elem_id: str) -> gr.HTML:
    """Rows of `who`, "you" or "model", `text` and `notes`; a click on one is a `select`."""
    return _component("conversation", elem_id, [])


def notice(elem_id: str) -> gr.HTML:
    """A line that says what went wrong; nothing where nothing did."""
    return _component("notice", elem_id, "")


def command(label: str, elem_id: str) -> gr.HTML:
    """A command line to copy."""
    return _component("command", elem_id, "", title=label)


def facts(elem_id: str) -> gr.HTML:
    """Rows of a label and what is to be said of it."""
    return _component("facts", elem_id, [])


def form(words: Words, elem_id: str) -> gr.HTML:
    """A recipe's keys, see `recipe_form.form_of`; each change is an `input`."""
    empty: dict[str, Any] = {"rows": [], "changes": {}}
    return _component("form", elem_id, empty, words=words.group("form"))


def curve(words: Words, elem_id: str) -> gr.HTML:
    """A curve of losses, see `LossFile.curve`."""
    return _component("curve", elem_id, {}, words=words.group("curve"))


def slider(words: Words, elem_id: str) -> gr.HTML:
    """Two dates of a place to look at by turns: addresses of `before` and `after`, if there are."""
    return _component("slider", elem_id, {}, words=words.group("slider"))


def results(elem_id: str) -> gr.HTML:
    """What work has left: address of `map`, "" without one, and `files`, (name, address) each."""
    return _component("results", elem_id, {})


def source_row(name: str, choose: str, hint: str) -> tuple[gr.UploadButton, gr.Textbox]:
    """What is asked about: files chosen, or their paths on this machine, one a line.

    Args:
        name: of the tab.
        choose: words on the button.
        hint: words in the empty box of paths.
    """
    files = gr.UploadButton(choose, file_count="multiple", elem_id=f"{name}-files", scale=1)
    paths = gr.Textbox(
        show_label=False,
        placeholder=hint,
        lines=1,
        max_lines=6,
        container=False,
        elem_id=f"{name}-paths",
        scale=3,
    )
    return files, paths


def question_boxes(words: Words, name: str) -> tuple[gr.Textbox, gr.Textbox]:
    """What is asked, and the answers that are possible, of a tab of this name."""
    question = gr.Textbox(
        label=words("chat.question"),
        info=words("chat.question_about"),
        placeholder=words("chat.example"),
        lines=2,
        elem_id=f"{name}-question",
    )
    choices = gr.Textbox(
        label=words("chat.choices"),
        info=words("chat.choices_about"),
        lines=2,
        elem_id=f"{name}-choices",
    )
    return question, choices


def model_choice(words: Words, name: str, names: list[str]) -> gr.Dropdown:
    """Which model is asked."""
    return gr.Dropdown(
        names,
        value=names[0],
        allow_custom_value=True,
        label=words("chat.model"),
        info=words("chat.model_about"),
        elem_id=f"{name}-model",
    )


def _component(name: str, elem_id: str, value: Any, **constants: Any) -> gr.HTML:
    script = (_SCRIPTS / f"{name}.js").read_text("utf-8")
    # Within the script: a component's further properties may reach it after it has begun.
    return gr.HTML(
        value=value,
        html_template=f"<div class='swath-{name}'></div>",
        js_on_load=f'"use strict";\nconst constants = {json.dumps(constants)};\n{script}',
        apply_default_css=False,
        elem_id=elem_id,
    )
