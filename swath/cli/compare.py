"""`swath compare`: what has changed between two dates of a place, as polygons on the ground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.console import Json, bars, emit, refuse_absent, say


def compare(
    model: Annotated[str, typer.Argument(help="A run tuned on pairs, or any model.")],
    before: Annotated[str, typer.Argument(help="The earlier picture or raster.")],
    after: Annotated[str, typer.Argument(help="The later one, of any grid and CRS.")],
    question: Annotated[
        str | None, typer.Argument(help="What to ask instead of what the run was tuned on.")
    ] = None,
    to: Annotated[
        Path, typer.Option(help="A .gpkg or .geojson; a .json and a .png go beside it.")
    ] = Path("change.gpkg"),
    align: Annotated[
        bool, typer.Option("--align", help="Move the later picture by the measured shift.")
    ] = False,
    limit: Annotated[
        float, typer.Option(min=0, help="Pixels of shift that are let pass without it.")
    ] = 5.0,
    gsd: Annotated[
        float | None, typer.Option(min=0, help="Metres a pixel of what the model was tuned on.")
    ] = None,
    overlap: Annotated[
        float | None, typer.Option(min=0, max=0.9, help="Share of a tile its neighbours repeat.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare two dates of a place: changed boxes, a caption, damage counts."""
    refuse_absent([before, after])
    import swath
    from swath.imagery.raster import allow
    from swath.imagery.scene import is_address
    from swath.inference.two_dates.change_outputs import check_outputs, write_outputs

    check_outputs(to)
    for picture in filter(is_address, (before, after)):
        allow(picture)
    assistant = swath.load(model)
    with bars() as progress:
        comparison = assistant.compare(
            before,
            after,
            question,
            align=align,
            limit_px=limit,
            gsd_m=gsd,
            overlap=overlap,
            progress=progress("compare"),
        )
        write_outputs(to, comparison, assistant.rendering)
    row = comparison.to_row()
    if json:
        emit(row)
    else:
        say(f"{row['asked']} tiles asked, {row['skipped']} skipped, {row['failed']} failed")
        say(comparison.pair.words())
        if comparison.caption:
            say(comparison.caption)
        if comparison.damage is not None:
            counts = comparison.damage.to_row()
            say(", ".join(f"{key} {count}" for key, count in counts.items()))
        if row["crs"] is None:
            say("neither date says where it lies: the layer is in pixels, y upwards")
        say(f"{to}: {len(comparison.changes)} changes; {to.with_suffix('.png')} shows them")
    if not comparison.complete:
        raise typer.Exit(1)
