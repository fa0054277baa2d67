"""`swath data`: which sets there are and how to get them, and scenes of STAC catalogues."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from swath.cli.console import Json, bars, emit, say
from swath.errors import RequestError

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

    sets, formats = _sets()
    if name is None:
        if json:
            return emit({"sets": sets, "formats": formats})
        for key, row in sets.items():
            size = f", {row['size']}" if row["size"] else ""
            say(f"{key:20} {row['task']:9} {row['title']}{size}; licence: {row['licence']}")
        say("", "Your own data, in any of these forms (annotations.format):")
        say(*(f"{key:20} {says}" for key, says in formats.items()))
        return say("", "Source, layout and commands of one: swath data list NAME")
    if name not in sets:
        raise RequestError(f"unknown set '{name}'{did_you_mean(name, sets)}")
    row = sets[name]
    if json:
        return emit({name: row})
    told = [
        f"  {key + ':':9}{row[key]}" for key in ("source", "size", "licence", "note") if row[key]
    ]
    return say(row["title"], *told, *(f"  {n}. {step}" for n, step in enumerate(row["steps"], 1)))


def _sets() -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Sets by name, those of suites before those only tuned on; and what readers read."""
    import yaml

    from swath.annotations import readers
    from swath.evaluation.suites.table import shipped

    formats, rows = {key: reader.says for key, reader in readers.READERS.items()}, []
    for one in shipped().values():
        kept = {key: getattr(one, key) for key in ("name", "title", "task", "source", "licence")}
        size = "; ".join(filter(None, (one.size, f"{one.n:,} asked" if one.n else "")))
        folder, ask = one.folder or one.name, f"swath evaluate RUN --suite {one.name} --data FOLDER"
        tune = f"; to tune on it: swath quickstart FOLDER/{folder}"
        use = ask + (tune if one.reader == "images" or one.reader in formats else "")
        kept |= {"size": size, "where": one.where, "note": one.version, "layout": one.layout}
        rows.append(kept | {"folder": folder, "use": use})
    for row in yaml.safe_load(Path(readers.__file__).with_name("sets.yaml").read_text("utf-8")):
        folder, form = row["name"], row.pop("reader")
        use = f"swath quickstart FOLDER/{folder}, or annotations.source=FOLDER/{folder} in a recipe"
        row |= {"task": "tune", "note": "", "layout": formats[form], "folder": folder, "use": use}
        rows.append(row)
    for row in rows:
        get, use = f"Get it from {row['where']}.", row.pop("use")
        put = f"Put it in FOLDER/{row.pop('folder')}: {row.pop('layout')}."
        row["steps"] = [get, put, use]
    return {row["name"]: row for row in rows}, formats


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
    limit: Annotated[int, typer.Option(help="At most so many scenes.")] = 20,
    to: Annotated[
        Path | None, typer.Option(help="Write the AOI's part of each asset below this folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Search a STAC catalogue by place, dates and clouds; with --to, fetch the AOI's pixels."""
    from swath.imagery.catalog import clip, place_of, search
    from swath.imagery.raster import allow
    from swath.imagery.scene import is_address

    place = None if aoi is None else place_of(aoi)
    if to is not None and place is None:
        raise RequestError("--to writes the part of an AOI; name one with --aoi.")
    if is_address(catalogue):
        allow(catalogue)
    found = search(catalogue, place, dates, clouds, asset or (), collection or (), limit)
    written: list[str] = []
    if to is not None:
        with bars() as progress:
            step, wanted = progress("fetch"), [(one, name) for one in found for name in one.assets]
            for number, (one, name) in enumerate(wanted, 1):
                written.append(str(clip(one.scene(name), place, to / one.folder / f"{name}.tif")))
                step(number, len(wanted))
    if json:
        return emit({"scenes": [one.to_row() for one in found], "written": written})
    for one in found:
        cover = "" if one.clouds is None else f"{one.clouds:.0f} % clouds"
        say(f"{one.id}  {one.taken[:10]}  {cover}  {' '.join(one.assets)}")
    return say(f"{len(found)} scenes.", *(f"wrote {path}" for path in written))
