"""`Suite`: a benchmark as one row: its data, split, question, task, score and where to get it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError

from swath.errors import RecipeError, RequestError
from swath.files import Json
from swath.recipe import Section
from swath.recipes import advice, read_yaml
from swath.registry import did_you_mean

SHIPPED = Path(__file__).with_name("suites.yaml")
ROOT = "SWATH_SUITES"
"""Environment variable that names the folder holding a folder a suite."""


class Suite(Section):
    """A benchmark as swath runs it; one YAML mapping."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", description="As --suite names it.")
    title: str = Field(description="As its paper names it.")
    task: str = Field(description="What is scored: classify, caption, question, refer, count...")
    reader: str = Field("images", description="Layout of the data; `images`: any that swath reads.")
    split: str | None = Field(None, description="Which part is asked; nothing: all of it.")
    prompt: str = Field(description="The question; {labels}, {phrase}, {names}, {box}, {question}.")
    prompts: dict[str, str] = Field(default_factory=dict, description="Other prompts, by name.")
    metric: str = Field(description="The one number it is judged by.")
    modes: list[str] = Field(
        default_factory=list, description="Papers' own rules it is scored by as well."
    )
    protocol: str = Field("zero-shot", description="Published numbers of this one are comparable.")
    source: str = Field("", description="The paper.")
    version: str = Field("", description="Which release, and what is particular about it.")
    layout: str = Field("", description="How its folder has to look.")
    size: str = Field("", description="Of the whole set, as its authors say.")
    licence: str = Field("not stated", description="Terms of the data.")
    where: str = Field("", description="Who gives the data out, and where.")
    status: Literal["run", "layout-tested", "own"] = Field(
        "own", description="Run on real data, tested on small files of its layout, or your own."
    )
    n: int | None = Field(None, gt=0, description="Questions of the split, as its authors say.")
    folder: str = Field("", description="Name of the data folder; nothing: the suite's.")
    options: Json = Field(default_factory=dict, description="What its reader needs.")


@cache
def shipped() -> dict[str, Suite]:
    """The suites that come with swath, by name."""
    return {row["name"]: Suite(**row) for row in yaml.safe_load(SHIPPED.read_text("utf-8"))["rows"]}


@cache
def groups() -> dict[str, list[str]]:
    """Names that stand for several suites."""
    return dict(yaml.safe_load(SHIPPED.read_text("utf-8"))["groups"])


def chosen(names: Sequence[str]) -> list[tuple[Suite, Path | None]]:
    """Suites and the folders given for them.

    Args:
        names: of suites or groups, or YAML files of a row, separated by commas; `suite=FOLDER`
            says where a suite's data is, and `group=FOLDER` which
            folder holds theirs.

    Raises:
        RequestError: there is no such suite.
        RecipeError: a YAML file holds no suite.
    """
    folders: dict[str, tuple[Suite, Path | None]] = {}
    for word in ",".join(names).split(","):
        name, _, folder = word.strip().partition("=")
        place = Path(folder) if folder else None
        if name in groups():
            for member in groups()[name]:
                suite = shipped()[member]
                within = place / (suite.folder or suite.name) if place else None
                folders[suite.name] = (suite, within)
        elif name in shipped():
            folders[name] = (shipped()[name], place)
        elif name.endswith((".yaml", ".yml")):
            suite = read_row(Path(name))
            folders[suite.name] = (suite, place)
        else:
            raise RequestError(
                f"unknown suite '{name}'{did_you_mean(name, [*shipped(), *groups()])}"
            )
    return list(folders.values())


def read_row(path: Path) -> Suite:
    """The suite of a user's YAML file.

    Raises:
        RecipeError: it is absent, no YAML, or no suite; the nearest key is offered.
    """
    try:
        return Suite.model_validate(read_yaml(path))
    except ValidationError as error:
        raise RecipeError(advice(error, path.name, Suite)) from None


def data_of(suite: Suite, given: Path | None, root: Path | None) -> Path:
    """The folder of a suite's data.

    Args:
        given: its own folder, if the user named one.
        root: holds a folder a suite; nothing: where `SWATH_SUITES` points.

    Raises:
        RequestError: it is not there; says who gives the data out, and under which terms.
    """
    name = suite.folder or suite.name
    root = root or (Path(os.environ[ROOT]) if os.environ.get(ROOT) else None)
    places = [given] if given else [root / name] if root else []
    for place in places:
        if place.exists():
            return place
    looked = f"nothing at {places[0]}" if places else f"neither --data nor {ROOT} says where it is"
    source = f" Get it from {suite.where}" if suite.where else ""
    raise RequestError(
        f"{suite.name}: {suite.title} is not here, {looked}.{source} (licence: {suite.licence}), "
        f"then put it in FOLDER/{name} and say --data FOLDER, or --suite {suite.name}=FOLDER."
    )
