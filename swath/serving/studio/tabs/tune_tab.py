"""The tab Build and tune: a recipe as a form, its plan, and the run beside it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from swath.recipe import Recipe
from swath.recipes import load_recipe
from swath.serving.studio.components import command, form, notice
from swath.serving.studio.desk import Desk, listen
from swath.serving.studio.page_words import Words
from swath.serving.studio.recipe_form import form_of, overrides_of, recipe_names
from swath.serving.studio.tabs.watch_panel import watch_panel
from swath.serving.studio.work_desk import command_line

SAMPLED = "tuning.sample_every=20"
"""What the form adds to a recipe, so that there is something to see."""


def tune_tab(desk: Desk, words: Words, page: gr.Blocks) -> None:
    """Lay out the tab and let it answer."""
    names = recipe_names()
    with gr.Row():
        with gr.Column(scale=2):
            recipe = gr.Dropdown(
                names,
                value=names[0],
                allow_custom_value=True,
                label=words("tune.recipe"),
                info=words("tune.recipe_about"),
                elem_id="tune-recipe",
            )
            tiny = gr.Checkbox(label=words("tune.tiny"), elem_id="tune-tiny")
            keys = form(words, "tune-form")
            further = gr.Textbox(
                label=words("tune.further"),
                info=words("tune.further_about"),
                lines=2,
                elem_id="tune-further",
            )
            with gr.Row():
                check = gr.Button(words("tune.check"), elem_id="tune-check")
                start = gr.Button(words("tune.start"), variant="primary", elem_id="tune-start")
            problem = notice("tune-notice")
            line = command(words("page.command"), "tune-command")
        with gr.Column(scale=3):
            run = watch_panel(desk, words, page)

    def fill(name: str, is_tiny: bool) -> dict[str, Any]:
        return form_of(name, [SAMPLED], is_tiny)

    def meant(
        name: str, is_tiny: bool, value: dict[str, Any], lines: str
    ) -> tuple[Recipe, list[str]]:
        """The recipe that the form means, and the command line's arguments for it."""
        overrides = overrides_of(value, lines)
        arguments = [name, *overrides, "--home", str(desk.runs.home)]
        if is_tiny:
            arguments.append("--tiny")
        return load_recipe(name, overrides, is_tiny), arguments

    def chosen(settings: Recipe) -> gr.Dropdown:
        return gr.Dropdown(choices=desk.runs.names(), value=settings.name)

    def begin_check(*form_values: Any) -> tuple[Any, ...]:
        settings, arguments = meant(*form_values)
        desk.runs.check(settings.name, arguments)
        return chosen(settings), command_line("check", arguments)

    def begin(*form_values: Any) -> tuple[Any, ...]:
        settings, arguments = meant(*form_values)
        desk.runs.tune(settings.name, arguments)
        return chosen(settings), command_line("tune", arguments)

    def show_command(*form_values: Any) -> str:
        _, arguments = meant(*form_values)
        return command_line("tune", arguments)

    form_inputs = [recipe, tiny, keys, further]
    listen([page.load, recipe.input, tiny.input], fill, [recipe, tiny], [keys], problem)
    listen([keys.input, further.blur], show_command, form_inputs, [line], problem)
    listen([check.click], begin_check, form_inputs, [run, line], problem)
    listen([start.click], begin, form_inputs, [run, line], problem)
