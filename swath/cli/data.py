"""`swath data` and `suites`: which sets and benchmarks there are, and scenes of catalogues."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swath.cli.console import Json, bars, emit, say
from swath.errors import RequestError

if TYPE_CHECKING:
    from swath.evaluation.suites.table import Suite

data = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="List data sets; search STAC catalogues."
)


@data.command("list")
def listed(
    name: Annotated[str | None, typer.Argument(help="Say more of this one.")] = None,
    json: Json = False,
) -> None:
    """List the sets that benchmarks and readers know: size, licence, and the steps to get one."""
    from swath.registry import did_you_mean

    sets = _sets()
    formats = _formats()
    if name is not None and name not in sets:
        raise RequestError(f"unknown set '{name}'{did_you_mean(name, sets)}")
    if json:
        emit({"sets": sets, "formats": formats} if name is None else {name: sets[name]})
        return
    if name is not None:
        _print_set(sets[name])
        return
    for key, row in sets.items():
        size = f", {row['size']}" if row["size"] else ""
        say(f"{key:20} {row['task']:9} {row['title']}{size}; licence: {row['licence']}")
    say("", "Your own data, in any of these forms (annotations.format):")
    for key, words in formats.items():
        say(f"{key:20} {words}")
    say("", "Source, layout and commands of one: swath data list NAME")


def _print_set(row: dict[str, Any]) -> None:
    say(row["title"])
    for key in ("source", "size", "licence", "note"):
        if row[key]:
            say(f"  {key + ':':9}{row[key]}")
    for number, step in enumerate(row["steps"], 1):
        say(f"  {number}. {step}")


def _formats() -> dict[str, str]:
    """What each reader reads, by its name."""
    from swath.annotations.readers import READERS

    return {name: reader.says for name, reader in READERS.items()}


def _sets() -> dict[str, dict[str, Any]]:
    """Sets by name, those of suites before those only tuned on."""
    import yaml

    from swath.annotations import readers
    from swath.evaluation.suites.table import shipped

    sets = {suite.name: _suite_row(suite) for suite in shipped().values()}
    file = Path(readers.__file__).with_name("sets.yaml")
    for row in yaml.safe_load(file.read_text("utf-8")):
        folder = f"FOLDER/{row['name']}"
        use = f"swath quickstart {folder}, or annotations.source={folder} in a recipe"
        layout = _formats()[row.pop("reader")]
        row |= {"task": "tune", "note": "", "steps": _steps(row["where"], folder, layout, use)}
        sets[row["name"]] = row
    return sets


def _suite_row(suite: Suite) -> dict[str, Any]:
    """What is said of a suite's set."""
    questions = f"{suite.n:,} asked" if suite.n else ""
    folder = f"FOLDER/{suite.folder or suite.name}"
    use = f"swath evaluate RUN --suite {suite.name} --data FOLDER"
    if suite.reader == "images" or suite.reader in _formats():
        use += f"; to tune on it: swath quickstart {folder}"
    return {
        "name": suite.name,
        "title": suite.title,
        "task": suite.task,
        "source": suite.source,
        "licence": suite.licence,
        "size": "; ".join(filter(None, (suite.size, questions))),
        "where": suite.where,
        "note": suite.version,
        "steps": _steps(suite.where, folder, suite.layout, use),
    }


def _steps(where: str, folder: str, layout: str, use: str) -> list[str]:
    return [f"Get it from {where}.", f"Put it in {folder}: {layout}.", use]


def suites(json: Json = False) -> None:
    """List the benchmarks that swath runs."""
    from swath.evaluation.suites.table import groups, shipped

    if json:
        rows = {name: suite.model_dump(mode="json") for name, suite in shipped().items()}
        emit({"suites": rows, "groups": groups()})
        return
    for suite in shipped().values():
        count = f"{suite.n:,}" if suite.n else ""
        say(f"{suite.name:20} {suite.task:9} {count:>7}  {suite.status:13} {suite.title}")
    for name, members in groups().items():
        say("", f"{name}: {', '.join(members)}")


@data.command()
def stac(
    catalogue: Annotated[str, typer.Argument(help="Address of a STAC API or catalog.json.")],
    aoi: Annotated[
        str | None, typer.Option(help="west,south,east,north in degrees, or a GeoJSON file.")
    ] = None,
    dates: Annotated[
        str | None, typer.Option(help="2024-05-01/2024-05-31; a day, month or year; .. for open.")
    ] = None,
    clouds: Annotated[float | None, typer.Option(help="Per cent of cloud cover at most.")] = None,
    asset: Annotated[
        list[str] | None, typer.Option(help="An asset, as B04; repeat it. Nothing: all rasters.")
    ] = None,
    collection: Annotated[list[str] | None, typer.Option(help="Search these; repeat it.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many scenes.")] = 20,
    to: Annotated[
        Path | None, typer.Option(help="Write the AOI's part of each asset below this folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Search a STAC catalogue by place, dates and clouds; with --to, fetch the AOI's pixels."""
    from swath.files import claim, safe_name
    from swath.imagery.catalog import clip, place_of, search
    from swath.imagery.raster import allow
    from swath.imagery.scene import is_address

    place = None if aoi is None else place_of(aoi)
    if to is not None and place is None:
        raise RequestError("--to writes the part of an AOI; name one with --aoi.")
    if is_address(catalogue):
        allow(catalogue)
    scenes = search(catalogue, place, dates, clouds, asset or (), collection or (), limit)
    written: list[str] = []
    if to is not None:
        assets = [(scene, name) for scene in scenes for name in scene.assets]
        with bars() as progress:
            step = progress("fetch")
            for number, (scene, name) in enumerate(assets, 1):
                folder = to / scene.folder
                claim(folder)
                file = folder / f"{safe_name(name)}.tif"
                written.append(str(clip(scene.scene(name), place, file)))
                step(number, len(assets))
    if json:
        emit({"scenes": [scene.to_row() for scene in scenes], "written": written})
        return
    for scene in scenes:
        cover = "" if scene.clouds is None else f"{scene.clouds:.0f} % clouds"
        say(f"{scene.id}  {scene.taken[:10]}  {cover}  {' '.join(scene.assets)}")
    say(f"{len(scenes)} scenes.", *(f"wrote {path}" for path in written))
