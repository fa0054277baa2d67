"""A recipe as a form: a row a key, made from its schema, and its changes as overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import yaml

from swath.errors import RequestError
from swath.recipe import Section
from swath.recipes import load_recipe, shipped_recipes

Row = dict[str, Any]

MAIN = {
    *("name", "annotations.source", "annotations.drawn.count", "annotations.drawn.size_px"),
    *("instructions.tasks", "models.base", "tuning.validate_every", "tuning.sample_every"),
    *("tuning.stages.train", "tuning.stages.epochs", "tuning.stages.steps"),
    *("tuning.stages.learning_rate", "tuning.stages.batch_size"),
}
"""Keys that stand above the others; numbers of stages left out."""


def form_of(name: str, overrides: Sequence[str] = (), tiny: bool = False) -> dict[str, Any]:
    """The form's value: rows of a recipe as it stands, and the overrides as changes to it.

    Raises:
        RecipeError: there is no such recipe, or an override is refused.
    """
    recipe = load_recipe(name, (), tiny)
    load_recipe(name, overrides, tiny)
    changes = dict(override.split("=", 1) for override in overrides)
    return {"rows": rows_of(recipe), "changes": changes}


def rows_of(section: Section, before: str = "") -> list[Row]:
    """A row a key of a section, sections within it as rows of rows.

    A row has `key`, `label` and `about`; a section `rows`; a value `kind` ("switch", "choice",
    "text" or "yaml"), `text`, as YAML writes it, `options` and `optional`, whether it may be empty.
    """
    rows: list[Row] = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        key = f"{before}{name}"
        row: Row = {"key": key, "label": name, "about": field.description or ""}
        if isinstance(value, Section):
            row["rows"] = rows_of(value, f"{key}.")
        elif _holds_sections(value):
            row["rows"] = [_item(item, f"{key}.{place}") for place, item in enumerate(value)]
        else:
            row |= _leaf(field.annotation, value)
            row["main"] = _without_numbers(key) in MAIN
        rows.append(row)
    return rows


def overrides_of(value: Mapping[str, Any], further: str | None = None) -> list[str]:
    """The changes of a form, and the lines written below it, as the command line takes them.

    Raises:
        RequestError: a line is no override.
    """
    changes = [f"{key}={text}" for key, text in value["changes"].items()]
    lines = lines_of(further)
    for line in lines:
        if "=" not in line:
            raise RequestError(f"'{line}': a key and its value are written as section.key=value.")
    return changes + lines


def lines_of(text: str | None) -> list[str]:
    """The lines of a box of text that say something."""
    lines = [line.strip() for line in (text or "").splitlines()]
    return [line for line in lines if line]


def recipe_names() -> list[str]:
    """Recipes that a form can begin with, the shortest way first."""
    names = shipped_recipes()
    first = "quickstart"
    return [first, *(name for name in names if name != first)]


def _item(item: Section, key: str) -> Row:
    """A stage, headed by its name."""
    name = getattr(item, "name", key.rpartition(".")[2])
    return {"key": key, "label": name, "about": "", "rows": rows_of(item, f"{key}.")}


def _leaf(annotation: Any, value: Any) -> Row:
    kinds = [kind for kind in _alternatives(annotation) if kind is not NoneType]
    optional = len(kinds) < len(_alternatives(annotation))
    row: Row = {"kind": "yaml", "text": _as_yaml(value), "options": [], "optional": optional}
    if kinds == [bool]:
        row["kind"] = "switch"
    elif kinds == [str]:
        row["kind"] = "text"
        row["text"] = value or ""
    elif len(kinds) == 1 and get_origin(kinds[0]) is Literal:
        row["kind"] = "choice"
        row["options"] = [str(option) for option in get_args(kinds[0])]
    return row


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) in (None, Literal, list, dict, tuple):
        return (annotation,)
    return get_args(annotation)


def _holds_sections(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Section)


def _as_yaml(value: Any) -> str:
    """A value on one line; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, Section):
        value = value.model_dump(mode="json")
    if isinstance(value, tuple):
        value = list(value)
    text: str = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, width=100_000, sort_keys=False
    )
    return text.removesuffix("...\n").strip()


def _without_numbers(key: str) -> str:
    return ".".join(part for part in key.split(".") if not part.isdecimal())
