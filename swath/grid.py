"""A grid: one recipe in several cells, read and checked before anything is built or tuned."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from swath.dialect import DIALECTS
from swath.errors import RecipeError, SwathError
from swath.instructions.phrasing import PHRASINGS
from swath.instructions.tasks.words import TASKS
from swath.models.templates import TEMPLATES
from swath.recipe import Recipe, Section
from swath.recipes import SHIPPED, advice, load_recipe, merged, read_yaml, yaml_value
from swath.registry import did_you_mean

MOST_CELLS = 200
"""Cells of a grid at most; each is a tuning."""


class GridFile(Section):
    """A grid as a YAML file: named cells, each some keys of one recipe."""

    about: str = Field("", description="What is compared, in a sentence.")
    recipe: str = Field(description="Name or file of the recipe that every cell changes.")
    keys: dict[str, Any] = Field(default_factory=dict, description="Keys of every cell.")
    cells: dict[str, dict[str, Any]] = Field(
        min_length=2, description="Name to keys; the others are compared with the first."
    )
    tiny: dict[str, Any] = Field(default_factory=dict, description="What --tiny changes of this.")


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Args:
        name: what it changes.
        recipe: as it is tuned.
        folder: of its run.
    """

    name: str
    recipe: Recipe
    folder: Path


@dataclass(frozen=True)
class Grid:
    """The cells of an ablation; the first is what the others are compared with.

    Args:
        folder: that holds the cells' folders.
        cells: in order.
    """

    folder: Path
    cells: Sequence[Cell]


def grid_of(name: str, changes: Sequence[str], home: Path, tiny: bool) -> Grid:
    """The grid of a recipe and keys with several values, or of a grid file.

    Args:
        name: a recipe's name or file, `ablations/NAME` that swath ships, or a grid's file.
        changes: each `section.key=a,b,c`; keys of one value hold for every cell.
        home: folder that holds the experiments.
        tiny: the recipe's architecture, small and random.

    Raises:
        RecipeError: a key or value is refused, nothing varies, or two cells are the same.
    """
    file = _grid_file(name)
    if file is None:
        recipe_name, fixed, named = name, *_varied(changes, name)
    else:
        recipe_name, fixed, named = _from_file(file, changes, tiny)
    base = load_recipe(recipe_name, fixed, tiny)
    folder = home / f"{base.name}-ablation"
    cells: list[Cell] = []
    for label, keys in named.items():
        slug = re.sub(r"[^\w.=+-]+", "-", label).strip("-.") or "cell"
        where = f"cell '{label}'"
        try:
            recipe = load_recipe(recipe_name, [*fixed, *keys, f"name={json.dumps(slug)}"], tiny)
            check_names(recipe)
        except SwathError as error:
            raise RecipeError(f"{where}: {error}") from None
        for earlier in cells:
            if earlier.folder.name == slug:
                raise RecipeError(f"{where}: its folder would be that of '{earlier.name}'.")
            if earlier.recipe.model_copy(update={"name": slug}) == recipe:
                raise RecipeError(f"{where}: is the same recipe as '{earlier.name}'.")
        cells.append(Cell(label, recipe, folder / slug))
    return Grid(folder, cells)


def check_names(recipe: Recipe) -> None:
    """Refuse names that a stage would refuse later: of tasks, phrasing, template and dialect.

    Raises:
        RecipeError: there is no row of one.
    """
    PHRASINGS.get(recipe.instructions.phrasing)
    for task in recipe.instructions.tasks:
        TASKS.get(task)
    if recipe.models.template is not None:
        TEMPLATES.get(recipe.models.template)
    if recipe.models.dialect is not None:
        DIALECTS.get(recipe.models.dialect)


def _grid_file(name: str) -> Path | None:
    """The file of a grid; None where the name is a recipe's."""
    shipped = {f"ablations/{path.stem}": path for path in (SHIPPED / "ablations").glob("*.yaml")}
    if name in shipped:
        return shipped[name]
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        values = read_yaml(path)
        return path if isinstance(values, dict) and "cells" in values else None
    if name.startswith("ablations/"):
        raise RecipeError(f"no grid '{name}'{did_you_mean(name, sorted(shipped))}")
    return None


def _from_file(
    file: Path, changes: Sequence[str], tiny: bool
) -> tuple[str, list[str], dict[str, list[str]]]:
    """Recipe, keys of every cell, and each cell's own, of a grid file."""
    values = read_yaml(file)
    if tiny:
        values = merged(values, values.pop("tiny", {}))
    try:
        grid = GridFile.model_validate(values)
    except ValidationError as error:
        raise RecipeError(advice(error, file.name, GridFile)) from None
    fixed, varied = _values(changes)
    if varied:
        raise RecipeError(
            f"{file.name} names its cells, and {', '.join(varied)} would make more; give one value."
        )
    cells = {}
    for name, keys in grid.cells.items():
        cells[name] = [_override(key, value) for key, value in keys.items()]
    shared = [_override(key, value) for key, value in grid.keys.items()]
    return grid.recipe, [*shared, *fixed], cells


def _varied(changes: Sequence[str], name: str) -> tuple[list[str], dict[str, list[str]]]:
    """Keys of every cell, and the cells of all others' values, the last key's changing first."""
    fixed, varied = _values(changes)
    if not varied:
        grids = sorted(f"ablations/{path.stem}" for path in (SHIPPED / "ablations").glob("*.yaml"))
        raise RecipeError(
            f"{name}: nothing varies; give a key several values, as in tuning.stages.0.lora.rank="
            f"16,64, or one of {', '.join(grids)}."
        )
    count = 1
    for values in varied.values():
        count *= len(values)
    if count > MOST_CELLS:
        raise RecipeError(f"{count} cells are more than {MOST_CELLS}; vary fewer keys.")
    tails = [key.rpartition(".")[2] for key in varied]
    short = tails if len(set(tails)) == len(tails) else list(varied)
    cells: dict[str, list[str]] = {}
    for chosen in itertools.product(*varied.values()):
        words = [f"{key}={_shown(value)}" for key, value in zip(short, chosen, strict=True)]
        keys = [_override(key, value) for key, value in zip(varied, chosen, strict=True)]
        label = " ".join(words)
        if label in cells:
            raise RecipeError(f"cell '{label}' is named twice; give each value once.")
        cells[label] = keys
    return fixed, cells


def _values(changes: Sequence[str]) -> tuple[list[str], dict[str, list[Any]]]:
    """Overrides of one value as they are, and the values of those that have several."""
    fixed: list[str] = []
    varied: dict[str, list[Any]] = {}
    for change in changes:
        key, sign, text = change.partition("=")
        values = yaml_value(f"[{text}]", f"override {key}") if sign else []
        if len(values) > 1:
            varied[key] = values
        else:
            fixed.append(change)
    return fixed, varied


def _override(key: str, value: Any) -> str:
    return f"{key}={json.dumps(value, default=str, ensure_ascii=False)}"


def _shown(value: Any) -> str:
    """A value in a cell's name; of a list its items."""
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
